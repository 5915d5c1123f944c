// The nodes of the scripted machine.
#pragma once

#include <atomic>
#include <initializer_list>
#include <optional>
#include <vector>

#include "platform/topology.hpp"

namespace numapool::platform::fake {

// The answer of read_topology(), whatever the root. One node with CPUs 0 to 3 and 1 GiB until a
// test sets another. Changing it while calls run is not thread-safe.
[[nodiscard]] TopologyRecord& topology_script();
// Set: what read_topology() answers instead.
[[nodiscard]] std::optional<Failure>& topology_failure();

// How often nodes_now() was asked.
[[nodiscard]] std::atomic<int>& topology_looks();

// Back to the one node and no failure.
void reset_topology();

// For short scripts.
[[nodiscard]] NodeRecord node(int node_id, std::vector<int> cpus, std::uint64_t memory_bytes,
                              std::vector<int> distances = {});
// A machine of these nodes, in ascending order of id, all of them allowed.
[[nodiscard]] TopologyRecord machine_of(std::initializer_list<NodeRecord> nodes);

}  // namespace numapool::platform::fake
