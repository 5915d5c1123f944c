// The process on Windows: the tick count; nothing forks, and moved pages are not told.
#include "platform/process.hpp"

#include "platform/windows/api.hpp"

namespace numapool::platform {

std::uint64_t coarse_ms() noexcept { return ::GetTickCount64(); }

bool on_fork(void (*)(), void (*)(), void (*)()) noexcept { return false; }

std::uint64_t page_moves() noexcept { return 0; }

}  // namespace numapool::platform
