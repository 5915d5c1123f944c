// Reads one nodeN folder of sysfs.
#pragma once

#include <vector>

#include "platform/linux/tree.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

// `nodes` is the folder of all nodes, `online` the ids of those that are online, ascending: the
// distance file has one column for each of them.
Result<NodeRecord> read_node(const Folder& nodes, int id, const std::vector<int>& online);

}  // namespace numapool::platform
