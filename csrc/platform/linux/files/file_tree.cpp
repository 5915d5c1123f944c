// Reads small files below a root folder: the running machine's /sys and /proc, or a copy of them.
#include "platform/linux/files/file_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

namespace numapool::platform {
namespace {

constexpr std::size_t kFirstRead = 4096;  // a page: what one read of sysfs gives at most
constexpr std::size_t kQuotedBytes = 80;  // of a file that makes no sense, in the message

thread_local std::string file_text;

struct DirCloser {
  void operator()(DIR* dir) const noexcept { closedir(dir); }
};

// Closes the descriptor. The text has its length from the kernel, read by read.
std::optional<std::string> all_of(int fd) {
  if (fd < 0) return std::nullopt;
  const struct Closer {
    int fd;
    ~Closer() {
      const int code = errno;
      close(fd);
      errno = code;
    }
  } closer{fd};
  std::string text;
  std::array<char, 16384> part{};
  while (true) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestText) {
      errno = EFBIG;
      return std::nullopt;
    }
  }
}

}  // namespace

Folder::~Folder() {
  if (fd_ >= 0) close(fd_);
}

Folder::Folder(Folder&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Folder& Folder::operator=(Folder&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Folder Folder::open(const std::string& path) {
  return {::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), path};
}

Folder Folder::folder(const char* relative) const {
  return {openat(fd_, relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path_to(relative)};
}

std::string Folder::path_to(const char* relative) const {
  return path_ + (path_.ends_with('/') ? "" : "/") + relative;
}

std::optional<std::string_view> Folder::read(const char* relative) const {
  // O_NONBLOCK: a fifo in a foreign tree must not hang us.
  const int fd = openat(fd_, relative, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::size_t size = 0;
  bool failed = false;
  if (file_text.size() < kFirstRead) file_text.resize(kFirstRead);
  while (size < kLargestFile) {
    if (size == file_text.size()) file_text.resize(2 * file_text.size());
    const ssize_t got = ::read(fd, file_text.data() + size, file_text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    failed = got < 0;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(fd);
  if (failed) return std::nullopt;
  return std::string_view(file_text.data(), size);
}

std::optional<std::string> Folder::read_whole(const char* relative) const {
  return all_of(openat(fd_, relative, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

std::optional<std::string> whole_text(const std::string& path) {
  return all_of(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

std::vector<std::string> Folder::names() const {
  std::vector<std::string> names;
  const int copy = openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, DirCloser> dir(copy < 0 ? nullptr : fdopendir(copy));
  if (!dir) return names;
  while (const dirent* entry = readdir(dir.get())) names.emplace_back(entry->d_name);
  return names;
}

std::optional<std::string> Folder::link(const char* relative) const {
  char target[4096];  // PATH_MAX: a longer one could not be followed
  const ssize_t length = readlinkat(fd_, relative, target, sizeof target);
  if (length < 0) return std::nullopt;
  return std::string(target, static_cast<std::size_t>(length));
}

bool Folder::has(const char* relative) const noexcept {
  return faccessat(fd_, relative, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Failure Folder::nonsense(const char* relative, std::string_view text, const char* why) const {
  std::string quoted;
  for (const char c : text.substr(0, kQuotedBytes)) {
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c >= ' ' && c < 127 ? c : '?';
    }
  }
  if (text.size() > kQuotedBytes) quoted += "...";
  return Failure{Cause::kUnintelligible, path_to(relative), 0, "'" + quoted + "' " + why};
}

}  // namespace numapool::platform
