// /proc/self/smaps: what pages the mappings of this process have. Slow: the kernel walks the pages
// of every mapping up to where the reader stops (Documentation/filesystems/proc.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace numapool::platform {

struct MappingPages {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::size_t page_bytes = 0;           // of the mapping: the base page, or the hugetlb size
  std::uint64_t transparent_bytes = 0;  // in transparent huge pages, of any kind of memory
};

// Calls `visit` for each mapping that overlaps [begin, end), ascending. False where the file cannot
// be read. `path` is another file of this form, for tests.
bool each_mapping(std::uintptr_t begin, std::uintptr_t end,
                  const std::function<void(const MappingPages&)>& visit,
                  const std::string& path = "/proc/self/smaps");

// True where a huge page lies in [begin, end) for certain: the mappings that overlap it hold more
// bytes in huge pages than lie outside of it.
[[nodiscard]] bool holds_huge_pages(std::uintptr_t begin, std::uintptr_t end);

}  // namespace numapool::platform
