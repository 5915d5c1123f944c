// Files: opened twice where there is direct I/O, and read and written with preadv and pwritev.
#include "platform/storage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/storage/direct_rules.hpp"
#include "platform/linux/storage/open_descriptor.hpp"

namespace numapool::platform {
namespace {

// O_NONBLOCK: a pipe opens at once, or not at all (ENXIO), instead of waiting for its other end,
// and a file that another process has a lease on (fcntl(2), F_SETLEASE) answers EAGAIN.
int open_at_once(const char* path, int flags) noexcept {
  return open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
}

// A lease that is being given up, or a signal: to be tried again.
bool is_for_now(int code) noexcept { return code == EINTR || code == EAGAIN; }

FileHandle handle_of(int fd) {
  try {
    return reinterpret_cast<FileHandle>(new OpenDescriptor{fd, identity_of(fd)});
  } catch (...) {
    close(fd);
    throw;
  }
}

bool has_no_offsets(const struct stat& facts) noexcept {
  return S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode);
}

// Has transfers wait as without O_NONBLOCK. To a device, the flag means something at open as well
// (a card reader without a card opens with it): it is opened anew, by its descriptor, so that
// nothing else can be there instead. Returns the descriptor, or -1 with errno set.
int have_it_wait(int fd, int flags, const struct stat& facts) noexcept {
  if (S_ISBLK(facts.st_mode)) {
    std::array<char, 32> itself{};
    std::snprintf(itself.data(), itself.size(), "/proc/self/fd/%d", fd);
    const int again = open(itself.data(), (flags & (O_ACCMODE | O_DIRECT)) | O_CLOEXEC);
    if (again >= 0 || errno != ENOENT) {  // ENOENT: /proc is not mounted
      const int code = errno;
      close(fd);
      errno = code;
      return again;
    }
  }
  const int has = fcntl(fd, F_GETFL);
  if (has >= 0) static_cast<void>(fcntl(fd, F_SETFL, has & ~O_NONBLOCK));
  return fd;
}

std::uint64_t size_of(int fd, const struct stat& facts) noexcept {
  if (S_ISREG(facts.st_mode)) return static_cast<std::uint64_t>(facts.st_size);
  if (!S_ISBLK(facts.st_mode)) return 0;
  const off_t end = lseek(fd, 0, SEEK_END);
  return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

// A second descriptor, so that unaligned ends can use the page cache at the same time: all threads
// that use a descriptor share its flags. Fails only with errors that are worth another try.
Status open_direct(const std::string& path, int flags, const struct stat& facts, OpenedFile& file) {
  const DirectRules rules = direct_rules(descriptor(file.handle), facts);
  if (!rules.why_not.empty()) {
    file.why_not_direct = rules.why_not;
    return Done{};
  }
  int fd = open_at_once(path.c_str(), (flags & O_ACCMODE) | O_DIRECT);
  struct stat again{};
  const bool other = fd >= 0 && (fstat(fd, &again) != 0 || again.st_dev != facts.st_dev ||
                                 again.st_ino != facts.st_ino);
  if (other) {
    close(fd);
    file.why_not_direct = "another file took its place meanwhile";
    return Done{};
  }
  if (fd >= 0) fd = have_it_wait(fd, (flags & O_ACCMODE) | O_DIRECT, facts);
  if (fd < 0) {
    const int code = errno;
    if (is_for_now(code)) return failed("open", code);
    file.why_not_direct =
        code == EINVAL ? "the file system has no direct I/O" : describe(failed("open", code));
    return Done{};
  }
  file.direct_handle = handle_of(fd);
  file.memory_align = rules.memory_align;
  file.transfer_align = rules.transfer_align;
  return Done{};
}

using Call = ssize_t (*)(int, const iovec*, int, off_t);

IoResult result_of(ssize_t got, int code) noexcept {
  if (got >= 0) return {static_cast<std::size_t>(got), IoEnd::kDone, 0};
  if (code == EINTR) return {0, IoEnd::kInterrupted, code};
  if (code == EINVAL) return {0, IoEnd::kMisaligned, code};
  return {0, IoEnd::kFailed, code};
}

IoResult transfer(Call call, FileHandle handle, std::span<const Piece> pieces,
                  std::uint64_t offset) noexcept {
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
    return {0, IoEnd::kFailed, EOVERFLOW};
  std::array<iovec, kMostPieces> vectors;
  const std::size_t count = std::min(pieces.size(), kMostPieces);
  for (std::size_t i = 0; i < count; ++i) vectors[i] = {pieces[i].address, pieces[i].length};
  const ssize_t got =
      call(descriptor(handle), vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
  return result_of(got, errno);
}

}  // namespace

Result<OpenedFile> open_file(const std::string& path, const FileRequest& request) {
  struct stat facts{};
  // Its other end would notice that a pipe is opened, so it is looked at first.
  if (stat(path.c_str(), &facts) == 0 && has_no_offsets(facts)) return failed("open", ESPIPE);
  const int flags =
      request.write ? O_WRONLY | (request.create ? O_CREAT : 0) | (request.truncate ? O_TRUNC : 0)
                    : O_RDONLY;
  int fd = open_at_once(path.c_str(), flags);
  if (fd < 0) {
    // ENXIO: a device that has no driver; or a pipe or socket that took the file's place meanwhile,
    // and may be gone again.
    int code = errno;
    const bool is_device =
        stat(path.c_str(), &facts) == 0 && (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode));
    if (code == ENXIO && !is_device) code = ESPIPE;
    return failed("open", code);
  }
  const int unknown = fstat(fd, &facts) == 0 ? 0 : errno;
  const int wrong = unknown != 0             ? unknown
                    : S_ISDIR(facts.st_mode) ? EISDIR
                    : has_no_offsets(facts)  ? ESPIPE
                                             : 0;
  if (wrong != 0) {
    close(fd);
    return failed("open", wrong);
  }
  fd = have_it_wait(fd, flags, facts);
  if (fd < 0) return failed("open", errno);
  OpenedFile file;
  file.handle = handle_of(fd);
  file.size_bytes = size_of(fd, facts);
  try {
    if (request.direct) {
      Status opened = open_direct(path, flags, facts, file);
      if (!opened) {
        close_handle(file.handle);
        return opened.failure();
      }
    } else {
      file.why_not_direct = "the caller asked for the page cache";
    }
  } catch (...) {
    close_handle(file.handle);
    throw;
  }
  return file;
}

IoResult read_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(preadv, handle, pieces, offset);
}

IoResult write_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(pwritev, handle, pieces, offset);
}

int sync_data(FileHandle handle) noexcept { return fdatasync(descriptor(handle)) == 0 ? 0 : errno; }

// close(2): after EINTR the descriptor is gone on Linux, and may be another file's already.
int close_handle(FileHandle handle) noexcept {
  const int fd = descriptor(handle);
  delete reinterpret_cast<OpenDescriptor*>(handle);
  if (fd < 0) return EBADF;
  return close(fd) == 0 || errno == EINTR ? 0 : errno;
}

}  // namespace numapool::platform
