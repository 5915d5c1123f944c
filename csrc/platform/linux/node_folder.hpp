// Reads one nodeN folder of sysfs.
#pragma once

#include <cstddef>
#include <string>

#include "platform/linux/tree.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

// Below the root.
inline constexpr const char* kNodesFolder = "sys/devices/system/node";

[[nodiscard]] std::string node_folder_name(int id);

// `nodes` is the folder of all nodes; `online_count` how many of them are online: the distance file
// has one column for each.
Result<NodeRecord> read_node(const Folder& nodes, int id, std::size_t online_count);

}  // namespace numapool::platform
