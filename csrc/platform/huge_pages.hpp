// What a system says of its huge pages; of a copy of its files too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace numapool::platform {

// The switch that decides whether a mapping gets transparent huge pages, and their size.
struct TransparentState {
  std::uint64_t page_bytes = 0;  // 0: the system does not tell of any
  std::string mode;              // "always", "madvise", "never"; empty where there is no switch
  std::string switch_file;       // its path on the machine; empty where there is none
  bool of_size = false;          // it is that of the size, which wins over the one for all sizes
};

struct HugetlbOfNode {
  int node = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// Huge pages of one size that an administrator set aside.
struct HugetlbReserve {
  std::uint64_t page_bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t on_demand = 0;         // may be made beyond them, of free memory
  std::vector<HugetlbOfNode> by_node;  // nodes that have some, ascending
};

// `root` is "/" or a tree of the same files elsewhere.
[[nodiscard]] TransparentState transparent_state(const std::string& root);
// Every size that the system knows, ascending; `total` 0 where none are set aside.
[[nodiscard]] std::vector<HugetlbReserve> hugetlb_reserves(const std::string& root);

}  // namespace numapool::platform
