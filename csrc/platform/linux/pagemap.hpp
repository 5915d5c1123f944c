// Which parts of a range are resident, and in huge pages: the PAGEMAP_SCAN ioctl (Linux 6.7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace numapool::platform {

// One run of resident pages of the same kind.
struct ResidentRun {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  bool huge = false;
};

// Calls `visit` for each run in ascending order. False where the kernel has no such ioctl or /proc
// does not allow it; nothing was visited then.
bool scan_resident(const void* address, std::size_t length,
                   const std::function<void(const ResidentRun&)>& visit);

}  // namespace numapool::platform
