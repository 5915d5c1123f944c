// The nodes of a Linux machine, from /sys/devices/system/node
// (Documentation/ABI/stable/sysfs-devices-node).
#include "platform/topology.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "platform/linux/id_list.hpp"
#include "platform/linux/node_folder.hpp"
#include "platform/linux/tree.hpp"
#include "platform/linux/values.hpp"
#include "platform/linux/whole_machine.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kTiers = "sys/devices/virtual/memory_tiering";
constexpr const char* kNoNodeList = "is no list of node ids";

// The file `online`, or the nodeN folders there are where a kernel lacks it.
Result<std::vector<int>> online_nodes(const Folder& nodes) {
  auto ids = read_ids(nodes, "online", kLargestNodeId, kNoNodeList);
  if (!ids) return ids.failure();
  if (ids.value() && !ids.value()->empty()) return *std::move(ids).value();
  return numbered(nodes.names(), "node", kLargestNodeId);
}

// What follows `key` in its line; nothing where no line starts with it.
std::optional<std::string_view> line_after(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at != 0 && text[at - 1] != '\n') continue;
    text.remove_prefix(at + key.size());
    return text.substr(0, text.find('\n'));
  }
  return std::nullopt;
}

// Mems_allowed_list of proc_pid_status(5); every node where the file or the line is missing.
Result<std::vector<int>> allowed_nodes(const Folder& root, std::vector<int> online) {
  const auto status = root.read("proc/self/status");
  const auto line = status ? line_after(*status, "Mems_allowed_list:") : std::nullopt;
  if (!line) return online;
  const auto listed = parse_id_list(*line, kLargestNodeId);
  if (!listed) return root.nonsense("proc/self/status", *line, kNoNodeList);
  std::vector<int> allowed;
  std::set_intersection(online.begin(), online.end(), listed->begin(), listed->end(),
                        std::back_inserter(allowed));
  return allowed;
}

// memory_tierN/nodelist (Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers).
Status read_tiers(const Folder& root, TopologyRecord& record) {
  const Folder tiers = root.folder(kTiers);
  if (!tiers.ok()) return Done{};
  for (const int tier : numbered(tiers.names(), "memory_tier", kLargestId)) {
    const std::string file = "memory_tier" + std::to_string(tier) + "/nodelist";
    const auto ids = read_ids(tiers, file.c_str(), kLargestNodeId, kNoNodeList);
    if (!ids) return ids.failure();
    if (!ids.value()) continue;
    for (NodeRecord& node : record.nodes) {
      if (std::binary_search(ids.value()->begin(), ids.value()->end(), node.node_id)) {
        node.memory_tier = tier;
      }
    }
  }
  return Done{};
}

// A kernel that initializes memory on demand counts it for the machine at once and for the node as
// it is used: where one node has all the memory, the machine's figure is the node's.
void complete_only_node(const Folder& root, TopologyRecord& record) {
  NodeRecord* only = record.nodes.size() == 1 ? &record.nodes.front() : nullptr;
  if (only == nullptr) {
    for (NodeRecord& node : record.nodes) {
      if (node.total_memory_bytes == 0) continue;
      if (only != nullptr) return;
      only = &node;
    }
  }
  if (only == nullptr) return;
  const auto meminfo = root.read("proc/meminfo");
  const auto bytes = meminfo ? meminfo_bytes(*meminfo, "MemTotal:") : std::nullopt;
  if (bytes) only->total_memory_bytes = std::max(only->total_memory_bytes, *bytes);
}

}  // namespace

Result<TopologyRecord> read_topology(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  const Folder nodes = root.folder(kNodesFolder);
  if (!nodes.ok()) return read_whole_machine(root);
  Result<std::vector<int>> ids = online_nodes(nodes);
  if (!ids) return ids.failure();
  const std::vector<int>& online = ids.value();
  if (online.empty()) return read_whole_machine(root);
  TopologyRecord record;
  record.nodes.reserve(online.size());
  for (const int id : online) {
    Result<NodeRecord> node = read_node(nodes, id, online.size());
    if (!node) return node.failure();
    record.nodes.push_back(std::move(node).value());
  }
  complete_only_node(root, record);
  Result<std::vector<int>> allowed = allowed_nodes(root, online);
  if (!allowed) return allowed.failure();
  record.allowed = std::move(allowed).value();
  const Status tiers = read_tiers(root, record);
  if (!tiers) return tiers.failure();
  return record;
}

}  // namespace numapool::platform
