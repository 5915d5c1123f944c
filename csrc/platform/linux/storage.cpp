// Files: opened twice where there is direct I/O, and read and written with preadv and pwritev.
#include "platform/storage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "platform/linux/direct_rules.hpp"
#include "platform/linux/system_call.hpp"

namespace numapool::platform {
namespace {

int open_retrying(const std::string& path, int flags) noexcept {
  int fd = -1;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

int descriptor(FileHandle handle) noexcept { return static_cast<int>(handle); }

std::uint64_t size_of(int fd, const struct stat& facts) noexcept {
  if (S_ISREG(facts.st_mode)) return static_cast<std::uint64_t>(facts.st_size);
  if (!S_ISBLK(facts.st_mode)) return 0;
  const off_t end = lseek(fd, 0, SEEK_END);
  return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

// A second descriptor, so that unaligned ends may go through the page cache meanwhile: a flag of
// one descriptor is shared by all threads that use it.
void open_direct(const std::string& path, int flags, const struct stat& facts, OpenedFile& file) {
  const DirectRules rules = direct_rules(descriptor(file.handle), facts);
  if (!rules.why_not.empty()) {
    file.why_not_direct = rules.why_not;
    return;
  }
  const int fd = open_retrying(path, (flags & O_ACCMODE) | O_DIRECT);
  if (fd < 0) {
    file.why_not_direct =
        errno == EINVAL ? "the file system has no direct I/O" : describe(failed("open", errno));
    return;
  }
  struct stat again{};
  if (fstat(fd, &again) != 0 || again.st_dev != facts.st_dev || again.st_ino != facts.st_ino) {
    close(fd);
    file.why_not_direct = "another file took its place meanwhile";
    return;
  }
  file.direct_handle = fd;
  file.memory_align = rules.memory_align;
  file.transfer_align = rules.transfer_align;
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
  // Opening a pipe waits for its other end, so it is looked at first.
  if (stat(path.c_str(), &facts) == 0 && (S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)))
    return failed("open", ESPIPE);
  const int flags =
      request.write ? O_WRONLY | (request.create ? O_CREAT : 0) | (request.truncate ? O_TRUNC : 0)
                    : O_RDONLY;
  const int fd = open_retrying(path, flags);
  if (fd < 0) return failed("open", errno);
  OpenedFile file;
  file.handle = fd;
  if (fstat(fd, &facts) != 0 || S_ISDIR(facts.st_mode)) {
    const int code = S_ISDIR(facts.st_mode) ? EISDIR : errno;
    close(fd);
    return failed("open", code);
  }
  file.size_bytes = size_of(fd, facts);
  try {
    if (request.direct) {
      open_direct(path, flags, facts, file);
    } else {
      file.why_not_direct = "the caller asked for the page cache";
    }
  } catch (...) {
    close(fd);
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

int sync_data(FileHandle handle) noexcept {
  int answer = 0;
  do {
    answer = fdatasync(descriptor(handle));
  } while (answer != 0 && errno == EINTR);
  return answer == 0 ? 0 : errno;
}

// close(2): after EINTR the descriptor is gone on Linux, and may be another file's already.
int close_handle(FileHandle handle) noexcept {
  return close(descriptor(handle)) == 0 || errno == EINTR ? 0 : errno;
}

}  // namespace numapool::platform
