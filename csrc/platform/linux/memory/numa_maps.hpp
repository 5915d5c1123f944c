// /proc/self/numa_maps: the slow way to see where pages are, for processes that may not ask
// otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "platform/memory.hpp"

namespace numapool::platform {

// Counts the pages of [begin, end). Nothing where the file is missing, or where the kernel has
// merged the range with a neighbour into one line whose pages are on several nodes: which are ours
// cannot be told then. The cost grows with the process: the kernel walks every page of every
// mapping (Documentation/filesystems/proc.rst).
std::optional<Residency> count_in_numa_maps(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page);

}  // namespace numapool::platform
