// The nodes of a Linux machine, from /sys/devices/system/node
// (Documentation/ABI/stable/sysfs-devices-node).
#include "platform/topology.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>

#include "platform/linux/id_list.hpp"
#include "platform/linux/kept_file.hpp"
#include "platform/linux/node_folder.hpp"
#include "platform/linux/tree.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kNodes = "sys/devices/system/node";
constexpr const char* kCpus = "sys/devices/system/cpu";
constexpr std::uint64_t kMaxKib = std::numeric_limits<std::uint64_t>::max() / 1024;
constexpr const char* kTiers = "sys/devices/virtual/memory_tiering";

// The ids of names like "node12" or "cpu3"; other names are skipped.
std::vector<int> numbered(const std::vector<std::string>& names, std::string_view prefix) {
  std::vector<int> ids;
  for (const std::string& name : names) {
    if (!std::string_view(name).starts_with(prefix)) continue;
    const auto id = parse_id_list(std::string_view(name).substr(prefix.size()));
    if (id && id->size() == 1 &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos) {
      ids.push_back(id->front());
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<std::vector<int>> online_nodes(const Folder& nodes) {
  if (const auto text = nodes.read("online")) {
    auto ids = parse_id_list(*text);
    if (!ids) return nodes.nonsense("online", *text, "is no list of node ids");
    if (!ids->empty()) return *std::move(ids);
  }
  return numbered(nodes.names(), "node");
}

std::vector<int> online_cpus(const Folder& root) {
  const Folder cpus = root.folder(kCpus);
  if (!cpus.ok()) return {};
  for (const char* const file : {"online", "present"}) {
    const auto text = cpus.read(file);
    const auto ids = text ? parse_id_list(*text) : std::nullopt;
    if (ids && !ids->empty()) return *ids;
  }
  return numbered(cpus.names(), "cpu");
}

// A kernel without NUMA has no node folder: one node with everything.
Result<TopologyRecord> whole_machine(const Folder& root) {
  TopologyRecord record;
  NodeRecord node;
  node.cpus = online_cpus(root);
  const auto meminfo = root.read("proc/meminfo");
  const auto kib = meminfo ? number_after(*meminfo, "MemTotal:") : std::nullopt;
  if (!kib && node.cpus.empty()) {
    return Failure{
        Cause::kUnintelligible, root.path(), 0,
        "it holds neither sys/devices/system/node nor sys/devices/system/cpu nor proc/meminfo"};
  }
  if (meminfo && (!kib || *kib > kMaxKib))
    return root.nonsense("proc/meminfo", *meminfo, "has no MemTotal in kB");
  node.total_memory_bytes = kib.value_or(0) * 1024;
  record.nodes.push_back(std::move(node));
  record.allowed = {0};
  return record;
}

// Mems_allowed_list of proc_pid_status(5); every node where the file or the line is missing.
Result<std::vector<int>> allowed_nodes(const Folder& root, const TopologyRecord& record) {
  std::vector<int> online;
  for (const NodeRecord& node : record.nodes) online.push_back(node.node_id);
  const auto status = root.read("proc/self/status");
  if (!status) return online;
  constexpr std::string_view kKey = "\nMems_allowed_list:";
  const std::size_t at = status->find(kKey);
  if (at == std::string_view::npos) return online;
  std::string_view line = status->substr(at + kKey.size());
  line = line.substr(0, line.find('\n'));
  const auto listed = parse_id_list(line);
  if (!listed)
    return root.nonsense("proc/self/status", line, "is no list of node ids (Mems_allowed_list)");
  std::vector<int> allowed;
  std::set_intersection(online.begin(), online.end(), listed->begin(), listed->end(),
                        std::back_inserter(allowed));
  return allowed;
}

// memory_tierN/nodelist (Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers).
Status read_tiers(const Folder& root, TopologyRecord& record) {
  const Folder tiers = root.folder(kTiers);
  if (!tiers.ok()) return Done{};
  for (const int tier : numbered(tiers.names(), "memory_tier")) {
    const std::string file = "memory_tier" + std::to_string(tier) + "/nodelist";
    const auto text = tiers.read(file.c_str());
    if (!text) continue;
    const auto ids = parse_id_list(*text);
    if (!ids) return tiers.nonsense(file.c_str(), *text, "is no list of node ids");
    for (NodeRecord& node : record.nodes) {
      if (std::binary_search(ids->begin(), ids->end(), node.node_id)) node.memory_tier = tier;
    }
  }
  return Done{};
}

// A kernel that initializes memory on demand counts it for the machine at once and for the node as
// it is used: where one node has all the memory, the machine's figure is the node's.
void complete_only_node(const Folder& root, TopologyRecord& record) {
  NodeRecord* only = nullptr;
  for (NodeRecord& node : record.nodes) {
    if (node.total_memory_bytes == 0) continue;
    if (only != nullptr) return;
    only = &node;
  }
  if (only == nullptr) return;
  const auto meminfo = root.read("proc/meminfo");
  const auto kib = meminfo ? number_after(*meminfo, "MemTotal:") : std::nullopt;
  if (kib && *kib <= kMaxKib)
    only->total_memory_bytes = std::max(only->total_memory_bytes, *kib * 1024);
}

// The machine's MemFree if the node is the only one with memory, else 0: see complete_only_node.
std::uint64_t machine_kib_if_only(const Folder& root, int node_id) {
  const auto text = root.read("sys/devices/system/node/has_memory");
  const auto ids = text ? parse_id_list(*text) : std::nullopt;
  if (!ids || ids->size() != 1 || ids->front() != node_id) return 0;
  const auto meminfo = root.read("proc/meminfo");
  const auto kib = meminfo ? number_after(*meminfo, "MemFree:") : std::nullopt;
  return kib && *kib <= kMaxKib ? *kib : 0;
}

}  // namespace

Result<TopologyRecord> read_topology(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) {
    const int code = errno;
    return Failure{Cause::kOther, "open", code, root_path};
  }
  const Folder nodes = root.folder(kNodes);
  if (!nodes.ok()) return whole_machine(root);
  Result<std::vector<int>> ids = online_nodes(nodes);
  if (!ids) return ids.failure();
  if (ids.value().empty()) return whole_machine(root);
  TopologyRecord record;
  record.nodes.reserve(ids.value().size());
  for (const int id : ids.value()) {
    Result<NodeRecord> node = read_node(nodes, id, ids.value());
    if (!node) return node.failure();
    record.nodes.push_back(std::move(node).value());
  }
  complete_only_node(root, record);
  Result<std::vector<int>> allowed = allowed_nodes(root, record);
  if (!allowed) return allowed.failure();
  record.allowed = std::move(allowed).value();
  const Status tiers = read_tiers(root, record);
  if (!tiers) return tiers.failure();
  return record;
}

Result<std::uint64_t> free_memory_bytes(const std::string& root_path, int node_id) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  const std::string file = std::string(kNodes) + "/node" + std::to_string(node_id) + "/meminfo";
  auto text = root.read(file.c_str());
  std::string read_from = file;
  if (!text && node_id == 0) {
    read_from = "proc/meminfo";
    text = root.read("proc/meminfo");
  }
  if (!text) return Failure{Cause::kOther, "open", errno, root.path() + "/" + file};
  const auto kib = number_after(*text, "MemFree:");
  if (!kib || *kib > kMaxKib)
    return root.nonsense(read_from.c_str(), *text, "has no MemFree in kB");
  return std::max(*kib, machine_kib_if_only(root, node_id)) * 1024;
}

}  // namespace numapool::platform
