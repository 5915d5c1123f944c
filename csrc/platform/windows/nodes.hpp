// The nodes that Windows tells, their CPUs and their free memory.
#pragma once

#include <cstdint>
#include <vector>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {

// A CPU's number is its group's times this, plus its number there.
inline constexpr int kCpusPerGroup = 64;

struct NodeCpus {
  int node_id = 0;
  std::vector<int> cpus;  // ascending; none: memory alone
};

// Ascending ids, at least one.
Result<std::vector<NodeCpus>> read_nodes();

// Free memory of a node; of a machine with one node, where Windows does not tell it by node, the
// machine's.
Result<std::uint64_t> free_bytes_of(int node_id);

}  // namespace numapool::platform::windows
