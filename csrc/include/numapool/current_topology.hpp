// The running machine's nodes as they are now: one holder for everything that follows the machine.
//
// Reading all nodes costs much more than a memory allocation, so the topology is kept; and what was
// kept goes stale: nodes and CPUs come and go, a cpuset is widened or replaced, a node gets memory.
#pragma once

#include <memory>
#include <optional>

#include "numapool/topology.hpp"

namespace numapool {

using SharedTopology = std::shared_ptr<const Topology>;

// As it was last read; read when first asked for. Thread-safe, like all of these. All throw what
// Topology::detect() throws.
[[nodiscard]] SharedTopology current_topology();

// Reads it anew. Where nothing has changed it stays the object that it was: compare pointers.
SharedTopology renewed_topology();

// As it is now: a cheap look tells whether nodes, CPUs, or what this process may use have changed
// since it was last read. How much memory the nodes have may be older.
[[nodiscard]] SharedTopology topology_now();

// For work on a node: current_topology() where it says that the node may be used, else
// topology_now().
[[nodiscard]] SharedTopology topology_for(int node);

}  // namespace numapool
