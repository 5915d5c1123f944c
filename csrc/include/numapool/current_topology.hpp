// The current topology of the running machine: one holder for everything that follows the machine.
//
// Reading all nodes costs much more than an allocation, so the topology is cached. The cache can
// become stale: nodes and CPUs come and go, a cpuset is changed, a node gets memory.
#pragma once

#include <memory>
#include <optional>

#include "numapool/topology.hpp"

namespace numapool {

using SharedTopology = std::shared_ptr<const Topology>;

// The topology as last read, or read now if this is the first call. Thread-safe, like all functions
// here. All of them throw what Topology::detect() throws.
[[nodiscard]] SharedTopology current_topology();

// Reads the topology again. If nothing has changed, returns the same object, so pointers can be
// compared.
SharedTopology renewed_topology();

// The up-to-date topology: a cheap check tells whether nodes, CPUs, or what this process may use
// changed since the last read. The nodes' memory sizes may be older.
[[nodiscard]] SharedTopology topology_now();

// For work on a node: current_topology() if the node is usable in it, else topology_now().
[[nodiscard]] SharedTopology topology_for(int node);

}  // namespace numapool
