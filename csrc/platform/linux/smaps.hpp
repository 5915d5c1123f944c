// /proc/self/smaps: whether a range holds transparent huge pages, on kernels before PAGEMAP_SCAN.
#pragma once

#include <cstdint>

namespace numapool::platform {

// True where a huge page lies in [begin, end) for certain: the mappings that overlap it hold more
// bytes in huge pages than lie outside of it. The kernel walks the pages of every mapping up to
// `end` (Documentation/filesystems/proc.rst, AnonHugePages).
[[nodiscard]] bool holds_huge_pages(std::uintptr_t begin, std::uintptr_t end);

}  // namespace numapool::platform
