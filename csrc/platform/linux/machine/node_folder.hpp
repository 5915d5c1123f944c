// Reads the nodeN folders of sysfs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/machine/node_distances.hpp"
#include "platform/linux/machine/topology_notes.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {

// Below the root.
inline constexpr const char* kNodesFolder = "sys/devices/system/node";

[[nodiscard]] std::string node_folder_name(int id);

// The ids that a file of the nodes' folder lists (possible, has_cpu, ...): nothing without such a
// file, or where it makes no sense.
[[nodiscard]] std::optional<std::vector<int>> nodes_listed_in(const Folder& nodes,
                                                              const char* file);

// The nodes with memory, according to the folder of all nodes; empty optional if it does not tell.
[[nodiscard]] std::optional<std::vector<int>> nodes_with_memory(const Folder& nodes);

class NodeReader {
 public:
  // `nodes` is the folder of all nodes, `online` the ids of those to be read. All must outlive
  // this.
  NodeReader(const Folder& nodes, const std::vector<int>& online, Notes& notes) noexcept
      : nodes_(nodes), rows_(nodes, online), notes_(notes) {}

  [[nodiscard]] NodeRecord read(int id);

 private:
  void read_cpus(const Folder& node, NodeRecord& record);
  void read_memory(const Folder& node, NodeRecord& record);
  void read_speed(const Folder& node, NodeRecord& record);
  [[nodiscard]] std::optional<bool> has_memory(int id);
  [[nodiscard]] std::optional<bool> has_cpus(int id);

  const Folder& nodes_;
  DistanceRows rows_;
  Notes& notes_;
  // Read when first needed; nothing inside: the system does not say.
  std::optional<std::optional<std::vector<int>>> has_memory_;
  std::optional<std::optional<std::vector<int>>> has_cpu_;
};

}  // namespace numapool::platform
