// A small kernel file kept open and read anew with pread.
#include "platform/linux/files/kept_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <new>
#include <utility>

#include "platform/linux/files/file_tree.hpp"

namespace numapool::platform {
namespace {

// The files read here are a page or two: memory.stat and a node's meminfo are the largest. Paths of
// cgroups may be long, and /proc/self/cgroup has one for each hierarchy.
thread_local std::array<char, 16384> kept_text;
thread_local std::string larger;

// All of the text, which the kernel gives in one read if there is room; -1 and errno if not.
ssize_t read_larger(int fd) noexcept {
  try {
    for (std::size_t room = 4 * kept_text.size(); room <= kLargestFile; room *= 4) {
      larger.resize(room);
      const ssize_t got = pread(fd, larger.data(), room, 0);
      if (got < static_cast<ssize_t>(room)) return got;
    }
    errno = EFBIG;
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
  }
  return -1;
}

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n'; }

}  // namespace

KeptFile::KeptFile(std::string path) noexcept : path_(std::move(path)) {}

std::optional<std::string_view> KeptFile::read() noexcept {
  int fd = kept_.get();
  if (fd < 0) {
    fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    error_ = errno;
    if (fd < 0) return std::nullopt;
    kept_ = KeptDescriptor(fd);
  }
  ssize_t got = pread(fd, kept_text.data(), kept_text.size(), 0);
  const bool cut = got == static_cast<ssize_t>(kept_text.size());
  if (cut) got = read_larger(fd);
  if (got < 0) {
    error_ = errno;
    kept_.close();  // the cgroup or node behind it is gone: try the path afresh next time
    return std::nullopt;
  }
  return std::string_view(cut ? larger.data() : kept_text.data(), static_cast<std::size_t>(got));
}

std::optional<std::uint64_t> leading_number(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key) noexcept {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at == 0 || is_space(text[at - 1])) return leading_number(text.substr(at + key.size()));
  }
  return std::nullopt;
}

}  // namespace numapool::platform
