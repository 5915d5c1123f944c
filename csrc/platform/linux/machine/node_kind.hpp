// Finds the kind of memory of each node: ordinary, a device's, an expander's.
#pragma once

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/machine/topology_notes.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

// Fills in the kinds, their evidence and `movable_only`. CPUs, memory and bandwidths must be filled
// in already. `nodes` is the folder of all nodes.
void read_kinds(const Folder& root, const Folder& nodes, TopologyRecord& record, Notes& notes);

}  // namespace numapool::platform
