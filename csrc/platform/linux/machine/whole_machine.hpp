// The machine as one node, where the kernel tells of no nodes.
#pragma once

#include <vector>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/machine/topology_notes.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

// Node 0 with every online CPU and all memory, from sys/devices/system/cpu and proc/meminfo. If the
// running machine (`root` "/") lacks these folders, from system calls. `notes` has the notes taken
// so far.
Result<TopologyRecord> read_whole_machine(const Folder& root, Notes notes);

// The ids of names like "node12" or "cpu3", ascending; other names and ids above `largest` are
// skipped.
[[nodiscard]] std::vector<int> numbered(const std::vector<std::string>& names,
                                        std::string_view prefix, int largest);

}  // namespace numapool::platform
