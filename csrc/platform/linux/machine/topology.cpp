// The nodes of a Linux machine, from /sys/devices/system/node
// (Documentation/ABI/stable/sysfs-devices-node).
#include "platform/topology.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/machine/node_folder.hpp"
#include "platform/linux/machine/node_kind.hpp"
#include "platform/linux/machine/node_memory.hpp"
#include "platform/linux/machine/topology_notes.hpp"
#include "platform/linux/machine/whole_machine.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kTiers = "sys/devices/virtual/memory_tiering";
constexpr const char* kNoNodeList = "is not a list of node ids";

// The file `online`, or the nodeN folders there are where that is missing or makes no sense.
std::vector<int> online_nodes(const Folder& nodes, Notes& notes) {
  auto ids = read_ids(nodes, "online", kLargestNodeId, kNoNodeList);
  const int code = errno;
  if (ids && ids.value() && !ids.value()->empty()) return *std::move(ids).value();
  const char* const instead = "the node folders say which nodes there are";
  if (!ids) {
    notes.add(ids.failure(), instead);
  } else if (!ids.value()) {
    notes.add_unreadable(nodes, "online", code, instead);
  }
  return numbered(nodes.names(), "node", kLargestNodeId);
}

// The text after `key` in its line; empty optional if no line starts with it.
std::optional<std::string_view> line_after(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at != 0 && text[at - 1] != '\n') continue;
    text.remove_prefix(at + key.size());
    return text.substr(0, text.find('\n'));
  }
  return std::nullopt;
}

// Mems_allowed_list of proc_pid_status(5); every node where the file or the line is missing, or
// makes no sense.
std::vector<int> allowed_nodes(const Folder& root, const std::vector<int>& online, Notes& notes) {
  constexpr const char* kStatus = "proc/self/status";
  constexpr const char* kAll = "every node counts as allowed";
  const auto status = root.read(kStatus);
  if (!status) notes.add_unreadable(root, kStatus, errno, kAll);
  const auto line = status ? line_after(*status, "Mems_allowed_list:") : std::nullopt;
  if (!line) return online;
  const auto listed = parse_id_list(*line, kLargestNodeId);
  // The kernel allows each process a node at least: an empty list says nothing.
  if (!listed || listed->empty()) {
    notes.add(root.nonsense(kStatus, trimmed(*line), kNoNodeList), kAll);
    return online;
  }
  std::vector<int> allowed;
  std::set_intersection(online.begin(), online.end(), listed->begin(), listed->end(),
                        std::back_inserter(allowed));
  return allowed;
}

// memory_tierN/nodelist (Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers).
void read_tiers(const Folder& root, TopologyRecord& record, Notes& notes) {
  const Folder tiers = root.folder(kTiers);
  if (!tiers.ok()) {
    notes.add_unreadable(root, kTiers, errno, "the memory tiers are unknown");
    return;
  }
  for (const int tier : numbered(tiers.names(), "memory_tier", kLargestId)) {
    const std::string file = "memory_tier" + std::to_string(tier) + "/nodelist";
    const auto ids = read_ids(tiers, file.c_str(), kLargestNodeId, kNoNodeList);
    if (!ids) notes.add(ids.failure(), "the tier is left out");
    if (!ids || !ids.value()) continue;
    for (NodeRecord& node : record.nodes) {
      if (std::binary_search(ids.value()->begin(), ids.value()->end(), node.node_id)) {
        node.memory_tier = tier;
      }
    }
  }
}

// See complete_only_node in node_memory.hpp.
void complete_total_of_only_node(const Folder& root, TopologyRecord& record) {
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
  NodeMemory memory{only->total_memory_bytes.value_or(0), 0, 0};
  if (!meminfo || !complete_only_node(memory, *meminfo)) return;
  only->memory_of_machine = only->total_memory_bytes.has_value();
  only->total_memory_bytes = memory.total_bytes;
}

}  // namespace

Result<NodesNow> nodes_now() {
  const Folder root = Folder::open("/");
  const Folder nodes = root.folder(kNodesFolder);
  const auto with_memory = nodes_with_memory(nodes);
  const auto cpus = read_ids(root, "sys/devices/system/cpu/online", kLargestId, "");
  if (!with_memory || !cpus || !cpus.value())
    return Failure{Cause::kUnsupported, "read", 0, nodes.path_to("has_memory")};
  Notes notes;
  NodesNow now;
  now.online = online_nodes(nodes, notes);
  now.cpus = *cpus.value();
  const std::vector<int> allowed = allowed_nodes(root, now.online, notes);
  std::set_intersection(allowed.begin(), allowed.end(), with_memory->begin(), with_memory->end(),
                        std::back_inserter(now.usable));
  if (const Failure* const shortage = notes.shortage()) return *shortage;
  return now;
}

Result<TopologyRecord> read_topology(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  const Folder nodes = root.folder(kNodesFolder);
  if (!nodes.ok()) {
    const int code = errno;
    if (is_shortage(code)) return Failure{Cause::kOther, "open", code, nodes.path()};
    return read_whole_machine(root, {});
  }
  Notes notes;
  const std::vector<int> online = online_nodes(nodes, notes);
  if (online.empty()) return read_whole_machine(root, std::move(notes));
  TopologyRecord record;
  record.nodes.reserve(online.size());
  NodeReader reader(nodes, online, notes);
  for (const int id : online) record.nodes.push_back(reader.read(id));
  complete_total_of_only_node(root, record);
  record.allowed = allowed_nodes(root, online, notes);
  record.possible = nodes_listed_in(nodes, "possible").value_or(std::vector<int>{});
  read_tiers(root, record, notes);
  read_kinds(root, nodes, record, notes);
  if (const Failure* const shortage = notes.shortage()) return *shortage;
  record.notes = std::move(notes).take();
  return record;
}

}  // namespace numapool::platform
