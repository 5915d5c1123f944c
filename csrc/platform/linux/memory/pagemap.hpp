// /proc/self/pagemap: which pages are in memory; and of a range which parts are, and in huge pages:
// the PAGEMAP_SCAN ioctl (Linux 6.7). Pages that the kernel is moving are in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "platform/linux/memory/page_nodes.hpp"

namespace numapool::platform {

// One run of resident pages of the same kind.
struct ResidentRun {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  bool huge = false;
};

// ioctl(2) as a scan makes it: the number of regions found, or -1 and errno. Tests script it.
using ScanCall = std::function<int(void* argument)>;
// mincore(2). Tests script it.
using CoreCall = std::function<int(void* address, std::size_t length, unsigned char* out)>;
using Visit = std::function<void(const ResidentRun&)>;

// Calls `visit` for each run of [address, address + length) in ascending order. Returns the address
// up to which the scan got, which is the end if all went well. Below it, unvisited pages are not
// resident; above it, nothing was scanned. Returns the start if the kernel has no such ioctl, or
// /proc does not allow it.
std::uintptr_t scan_resident(const void* address, std::size_t length, const Visit& visit);
std::uintptr_t scan_resident(const void* address, std::size_t length, const Visit& visit,
                             const ScanCall& scan, const CoreCall& core);

// Whether a scan finds the range in huge pages throughout.
[[nodiscard]] bool are_huge(const void* address, std::size_t length);

// Whether each page, ascending or not, is in memory for this process; by mincore(2) alone where
// /proc does not tell.
void read_presence(std::span<void* const> pages, std::span<Presence> out);

}  // namespace numapool::platform
