// Reads the nodeN folders of sysfs: CPUs, memory, distances, and what the firmware says of their
// speed.
#include "platform/linux/machine/node_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr const char* kAmountUnknown = "how much memory the node has is unknown";

std::optional<bool> is_in(const std::optional<std::vector<int>>& ids, int id) {
  if (!ids) return std::nullopt;
  return std::binary_search(ids->begin(), ids->end(), id);
}

}  // namespace

std::optional<std::vector<int>> nodes_listed_in(const Folder& nodes, const char* file) {
  auto ids = read_ids(nodes, file, kLargestNodeId, "");
  return ids ? std::move(ids).value() : std::nullopt;
}

// Before Linux 4.14 only kernels with movable nodes have has_memory; has_normal_memory is the same
// for the others.
std::optional<std::vector<int>> nodes_with_memory(const Folder& nodes) {
  return nodes_listed_in(nodes, nodes.has("has_memory") ? "has_memory" : "has_normal_memory");
}

std::string node_folder_name(int id) { return "node" + std::to_string(id); }

NodeRecord NodeReader::read(int id) {
  NodeRecord record;
  record.node_id = id;
  const std::string name = node_folder_name(id);
  const Folder node = nodes_.folder(name.c_str());
  if (!node.ok()) {
    // Online by the list and gone by now (hot-unplug), or never there: nothing on it.
    const int code = errno;
    notes_.add_unreadable(nodes_, name.c_str(), code, "nothing is known of the node");
    if (has_memory(id).value_or(code != ENOENT)) record.total_memory_bytes.reset();
    return record;
  }
  read_cpus(node, record);
  read_memory(node, record);
  record.distances = rows_.read(node, notes_);
  read_speed(node, record);
  return record;
}

// cpulist, or cpumap where that is missing or makes no sense. A node with neither has no CPUs.
void NodeReader::read_cpus(const Folder& node, NodeRecord& record) {
  auto listed = read_ids(node, "cpulist", kLargestId, "is not a list of CPUs");
  const int code = errno;
  if (listed && listed.value()) {
    record.cpus = *std::move(listed).value();
    if (record.cpus.empty() && has_cpus(record.node_id).value_or(false)) {
      notes_.add(node.nonsense("cpulist", "", "names none, but has_cpu lists the node"),
                 "the node's CPUs are unknown");
    }
    return;
  }
  const auto mask = node.read("cpumap");
  auto masked = mask ? parse_id_mask(*mask) : std::nullopt;
  const char* const instead =
      masked ? "cpumap says which CPUs the node has" : "the node's CPUs are unknown";
  if (mask && !masked) {
    notes_.add(node.nonsense("cpumap", *mask, "is no mask of CPUs"), instead);
  }
  if (!listed) {
    notes_.add(listed.failure(), instead);
  } else {
    notes_.add_unreadable(node, "cpulist", code, instead);
  }
  if (masked) record.cpus = *std::move(masked);
}

// "Node 0 MemTotal:  263923664 kB". Where that cannot be read, has_memory tells a node without
// memory from one whose memory is unknown.
void NodeReader::read_memory(const Folder& node, NodeRecord& record) {
  const auto text = node.read("meminfo");
  const int code = errno;
  const auto bytes = text ? meminfo_bytes(*text, "MemTotal:") : std::nullopt;
  if (bytes) {
    record.total_memory_bytes = *bytes;
    return;
  }
  const bool says_nothing = !text || trimmed(*text).empty();
  if (says_nothing && has_memory(record.node_id) == false) return;
  record.total_memory_bytes.reset();
  if (!text) {
    notes_.add(Failure{Cause::kOther, "open", code, node.path_to("meminfo")}, kAmountUnknown);
  } else if (says_nothing) {
    notes_.add(Failure{Cause::kOther, "read", ENODATA, node.path_to("meminfo")}, kAmountUnknown);
  } else {
    notes_.add(node.nonsense("meminfo", *text, "has no MemTotal in kB"), kAmountUnknown);
  }
}

// HMAT by way of the node's best initiators (Documentation/admin-guide/mm/numaperf.rst): ns and
// MiB/s. A kernel without the figures has no such folder, or zeros.
void NodeReader::read_speed(const Folder& node, NodeRecord& record) {
  const Folder speed = node.folder("access0/initiators");
  if (!speed.ok()) {
    notes_.add_unreadable(node, "access0/initiators", errno, "the node's speed is unknown");
    return;
  }
  struct Figure {
    const char* file;
    std::uint64_t unit;
    std::optional<std::uint64_t>& value;
  };
  for (const Figure& figure : {Figure{"read_latency", 1, record.read_latency_ns},
                               Figure{"write_latency", 1, record.write_latency_ns},
                               Figure{"read_bandwidth", kMiB, record.read_bandwidth_bytes_s},
                               Figure{"write_bandwidth", kMiB, record.write_bandwidth_bytes_s}}) {
    const auto read = read_number(speed, figure.file);
    if (!read) {
      notes_.add(read.failure(), "the figure is left out");
      continue;
    }
    const std::uint64_t value = read.value().value_or(0);
    if (value == 0 || value > std::numeric_limits<std::uint64_t>::max() / figure.unit) continue;
    figure.value = value * figure.unit;
  }
}

std::optional<bool> NodeReader::has_memory(int id) {
  if (!has_memory_) has_memory_.emplace(nodes_with_memory(nodes_));
  return is_in(*has_memory_, id);
}

std::optional<bool> NodeReader::has_cpus(int id) {
  if (!has_cpu_) has_cpu_.emplace(nodes_listed_in(nodes_, "has_cpu"));
  return is_in(*has_cpu_, id);
}

}  // namespace numapool::platform
