// Threads and processor groups: a thread runs in one group at a time.
#pragma once

#include <span>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {

// Has a thread run on those of the CPUs that are in one group. Where they are of several, the
// groups take turns from call to call. 0, or the Windows error: ERROR_INVALID_PARAMETER for no CPU.
[[nodiscard]] DWORD run_in_one_group(HANDLE thread, std::span<const int> cpus) noexcept;

}  // namespace numapool::platform::windows
