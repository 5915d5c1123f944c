// Reads one nodeN folder of sysfs: CPUs, memory, distances, and what the firmware says of its
// speed.
#include "platform/linux/node_folder.hpp"

#include <charconv>
#include <limits>
#include <string>
#include <utility>

#include "platform/linux/id_list.hpp"
#include "platform/linux/values.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// cpulist, or cpumap where a kernel lacks it; a node with neither has no CPUs.
Status read_cpus(const Folder& node, NodeRecord& record) {
  auto listed = read_ids(node, "cpulist", kLargestId, "is no list of CPUs");
  if (!listed) return listed.failure();
  if (listed.value()) {
    record.cpus = *std::move(listed).value();
    return Done{};
  }
  const auto mask = node.read("cpumap");
  if (!mask) return Done{};
  auto cpus = parse_id_mask(*mask);
  if (!cpus) return node.nonsense("cpumap", *mask, "is no mask of CPUs");
  record.cpus = *std::move(cpus);
  return Done{};
}

// "Node 0 MemTotal:  263923664 kB"; a node without the file has no memory.
Status read_memory(const Folder& node, NodeRecord& record) {
  const auto text = node.read("meminfo");
  if (!text || trimmed(*text).empty()) return Done{};
  const auto bytes = meminfo_bytes(*text, "MemTotal:");
  if (!bytes) return node.nonsense("meminfo", *text, "has no MemTotal in kB");
  record.total_memory_bytes = *bytes;
  return Done{};
}

Status read_distances(const Folder& node, std::size_t columns, NodeRecord& record) {
  const auto text = node.read("distance");
  if (!text) return Done{};
  std::string_view rest = trimmed(*text);
  while (!rest.empty()) {
    int distance = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), distance);
    // A sign is not read: the kernel prints none, and "-0" would pass for 0.
    if (error != std::errc{} || rest.front() == '-' ||
        (end != rest.data() + rest.size() && *end != ' ')) {
      return node.nonsense("distance", *text, "is no row of distances");
    }
    record.distances.push_back(distance);
    rest = trimmed(rest.substr(static_cast<std::size_t>(end - rest.data())));
  }
  if (!record.distances.empty() && record.distances.size() != columns) {
    return node.nonsense(
        "distance", *text,
        ("has " + std::to_string(record.distances.size()) + " columns, not one for each of the " +
         std::to_string(columns) + " nodes that are online")
            .c_str());
  }
  return Done{};
}

// HMAT by way of the node's best initiators (Documentation/admin-guide/mm/numaperf.rst): ns and
// MiB/s. A kernel without the figures has no such folder, or zeros.
Status read_speed(const Folder& node, NodeRecord& record) {
  const Folder speed = node.folder("access0/initiators");
  if (!speed.ok()) return Done{};
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
    if (!read) return read.failure();
    const std::uint64_t value = read.value().value_or(0);
    if (value == 0 || value > std::numeric_limits<std::uint64_t>::max() / figure.unit) continue;
    figure.value = value * figure.unit;
  }
  return Done{};
}

}  // namespace

std::string node_folder_name(int id) { return "node" + std::to_string(id); }

Result<NodeRecord> read_node(const Folder& nodes, int id, std::size_t online_count) {
  NodeRecord record;
  record.node_id = id;
  const Folder node = nodes.folder(node_folder_name(id).c_str());
  // Online by the list and gone by now (hot-unplug), or never there: nothing on it.
  if (!node.ok()) return record;
  for (const Status& status :
       {read_cpus(node, record), read_memory(node, record),
        read_distances(node, online_count, record), read_speed(node, record)}) {
    if (!status) return status.failure();
  }
  return record;
}

}  // namespace numapool::platform
