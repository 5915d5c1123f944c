// A descriptor that stays open, and is used or closed only while it still refers to the same file.
#include "platform/linux/files/kept_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <utility>

namespace numapool::platform {
namespace {

constexpr std::uint64_t kNotTold = 0;
constexpr std::uint64_t kNoEvent = 1;  // another kind of file, or a kernel without these numbers

// The number that the kernel gives each eventfd (/proc/self/fdinfo, Linux 5.2), moved up by the two
// words above.
std::uint64_t event_id(int fd) noexcept {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fdinfo/%d", fd);
  const int info = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (info < 0) return kNotTold;
  std::array<char, 1024> text{};
  const ssize_t got = read(info, text.data(), text.size());
  ::close(info);
  if (got <= 0) return kNotTold;
  const std::string_view words(text.data(), static_cast<std::size_t>(got));
  constexpr std::string_view kKey = "eventfd-id: ";
  const std::size_t at = words.find(kKey);
  if (at == std::string_view::npos) return kNoEvent;
  std::size_t digits = at + kKey.size();
  while (digits < words.size() && words[digits] == ' ') ++digits;
  std::uint64_t id = 0;
  std::from_chars(words.data() + digits, words.data() + words.size(), id);
  return id + kNoEvent + 1;
}

}  // namespace

Identity identity_of(int fd) noexcept {
  Identity identity;
  struct stat facts{};
  if (fd < 0 || fstat(fd, &facts) != 0) return identity;
  identity.device = facts.st_dev;
  identity.inode = facts.st_ino;
  // Anonymous inodes have no type in their mode.
  if ((facts.st_mode & S_IFMT) == 0) identity.event = event_id(fd);
  return identity;
}

bool still_is(int fd, const Identity& identity) noexcept {
  struct stat facts{};
  if (fd < 0 || fstat(fd, &facts) != 0) return false;
  if (facts.st_dev != identity.device || facts.st_ino != identity.inode) return false;
  if (identity.event <= kNoEvent) return true;
  const std::uint64_t now = event_id(fd);
  return now == identity.event || now == kNotTold;
}

KeptDescriptor::KeptDescriptor(int fd) noexcept : fd_(fd), identity_(identity_of(fd)) {}

KeptDescriptor::KeptDescriptor(KeptDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), lost_(other.lost_), identity_(other.identity_) {}

KeptDescriptor& KeptDescriptor::operator=(KeptDescriptor&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  lost_ = other.lost_;
  identity_ = other.identity_;
  return *this;
}

int KeptDescriptor::get() noexcept {
  if (fd_ >= 0 && !still_is(fd_, identity_)) {
    fd_ = -1;
    lost_ = true;
  }
  return fd_;
}

void KeptDescriptor::close() noexcept {
  const int saved = errno;
  if (get() >= 0) ::close(fd_);
  fd_ = -1;
  lost_ = false;
  errno = saved;
}

}  // namespace numapool::platform
