// The monotonic clock, and an eventfd that rings.
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/pressure.hpp"

namespace numapool::platform {

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Bell::Bell() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Bell::~Bell() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Bell::ring() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor_, &one, sizeof(one)));
}

void Bell::quiet() const noexcept {
  std::uint64_t rung = 0;
  static_cast<void>(!::read(descriptor_, &rung, sizeof(rung)));
}

}  // namespace numapool::platform
