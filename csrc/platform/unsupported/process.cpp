// The process where the system is unknown: the C++ library's clock; forks and moved pages are not
// told.
#include "platform/process.hpp"

#include <chrono>

namespace numapool::platform {

std::uint64_t coarse_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

bool on_fork(void (*)(), void (*)(), void (*)()) noexcept { return false; }

std::uint64_t page_moves() noexcept { return 0; }

}  // namespace numapool::platform
