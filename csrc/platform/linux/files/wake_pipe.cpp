// A pipe that one descriptor both fills and empties: it wakes a thread that waits in poll(2).
#include "platform/linux/files/wake_pipe.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>

namespace numapool::platform {

// Linux lets a pipe be opened by its name for both directions at once (fifo(7)). That takes three
// descriptors for a moment, and /proc: where they cannot be had, an eventfd does the same.
int open_wake_pipe() noexcept {
  std::array<int, 2> ends{-1, -1};
  int both = -1;
  if (pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == 0) {
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", ends[0]);
    both = open(path.data(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    for (const int end : ends) close(end);
  }
  return both >= 0 ? both : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

// Eight bytes, as an eventfd takes.
void fill_wake_pipe(int fd) noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(fd, &one, sizeof(one)));
}

void empty_wake_pipe(int fd) noexcept {
  std::array<char, 4096> rung;  // NOLINT: nobody looks at what is read
  while (::read(fd, rung.data(), rung.size()) == static_cast<ssize_t>(rung.size())) {
  }
}

}  // namespace numapool::platform
