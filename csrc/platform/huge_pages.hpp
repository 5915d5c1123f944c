// What a system, or a copy of its files, tells about its huge pages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace numapool::platform {

// A size of transparent huge pages, and the switch that decides whether a mapping gets such.
struct TransparentState {
  std::uint64_t page_bytes = 0;  // 0: the system does not tell
  std::string mode;              // "always", "madvise", "never"; empty if there is no switch
  std::string switch_file;       // its path on the machine; empty if there is none
  bool of_size = false;          // the switch of this size, which overrides the one for all sizes
  bool chosen = false;           // numapool uses this size for mappings that are large enough
  bool whole_entry = false;      // one entry of a middle page table maps such a page
};

struct HugetlbOfNode {
  int node = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// Huge pages of one size, as reserved by an administrator.
struct HugetlbReserve {
  std::uint64_t page_bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t on_demand = 0;         // more that may be made of free memory when needed
  std::vector<HugetlbOfNode> by_node;  // nodes that have some, ascending
};

// `root` is "/" or a copy of the same files elsewhere.
// Every size that the system knows, ascending.
[[nodiscard]] std::vector<TransparentState> transparent_states(const std::string& root);
// Every size that the system knows, ascending; `total` is 0 if none are reserved.
[[nodiscard]] std::vector<HugetlbReserve> hugetlb_reserves(const std::string& root);

}  // namespace numapool::platform
