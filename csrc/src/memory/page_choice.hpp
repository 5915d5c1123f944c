// Turns the requested page size into the mapping's page size.
#pragma once

#include <cstddef>

#include "numapool/allocator.hpp"

namespace numapool {

struct PageChoice {
  platform::Pages pages;
  std::size_t length = 0;  // the size rounded up to whole pages
};

// Throws Error: kInvalidArgument (size 0, or a page size that is not a power of two), kNoMemory (a
// size beyond any address space), kUnsupported (a page size that this machine does not have; the
// message lists those it has).
[[nodiscard]] PageChoice choose_pages(std::size_t size_bytes, const PageRequest& request);

// Maps memory for a choice. If a hugetlb mapping fails, the error tells how many pages are
// reserved, and how to reserve more.
[[nodiscard]] Mapping map_chosen(const PageChoice& choice);

// Excludes the mapping from core dumps, while it is still empty. Throws Error: kSystem,
// kUnsupported.
void keep_out_of_dumps(const Mapping& mapping);

}  // namespace numapool
