// Turns the page size a caller asked for into what the mapping uses.
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

// The mapping for a choice. A hugetlb mapping that fails says how many pages are reserved and how
// to get more.
[[nodiscard]] Mapping map_chosen(const PageChoice& choice);

// Leaves the mapping out of core dumps, before there is anything in it. Throws Error: kSystem,
// kUnsupported.
void keep_out_of_dumps(const Mapping& mapping);

}  // namespace numapool
