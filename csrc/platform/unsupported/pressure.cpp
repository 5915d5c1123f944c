// No pressure to be noticed: says so, and offers the clock.
#include "platform/pressure.hpp"

#include <chrono>

namespace numapool::platform {

Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest&) {
  return Failure{Cause::kUnsupported, "memory pressure", 0, "not on this operating system"};
}

std::uint64_t monotonic_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

Bell::Bell() = default;
Bell::~Bell() = default;
void Bell::ring() const noexcept {}
void Bell::quiet() const noexcept {}

}  // namespace numapool::platform
