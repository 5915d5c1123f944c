// Reads one nodeN folder of sysfs: CPUs, memory, distances, and what the firmware says of its
// speed.
#include "platform/linux/node_folder.hpp"

#include <charconv>
#include <limits>
#include <string>

#include "platform/linux/id_list.hpp"
#include "platform/linux/kept_file.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kMaxKib = std::numeric_limits<std::uint64_t>::max() / 1024;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// cpulist, or cpumap where a kernel lacks it; a node with neither has no CPUs.
Status read_cpus(const Folder& node, NodeRecord& record) {
  if (const auto text = node.read("cpulist")) {
    auto cpus = parse_id_list(*text);
    if (!cpus) return node.nonsense("cpulist", *text, "is no list of CPUs");
    record.cpus = *std::move(cpus);
  } else if (const auto mask = node.read("cpumap")) {
    auto cpus = parse_id_mask(*mask);
    if (!cpus) return node.nonsense("cpumap", *mask, "is no mask of CPUs");
    record.cpus = *std::move(cpus);
  }
  return Done{};
}

// "Node 0 MemTotal:  263923664 kB"; a node without the file has no memory.
Status read_memory(const Folder& node, NodeRecord& record) {
  const auto text = node.read("meminfo");
  if (!text || trimmed(*text).empty()) return Done{};
  const auto kib = number_after(*text, "MemTotal:");
  if (!kib || *kib > kMaxKib) return node.nonsense("meminfo", *text, "has no MemTotal in kB");
  record.total_memory_bytes = *kib * 1024;
  return Done{};
}

Status read_distances(const Folder& node, const std::vector<int>& online, NodeRecord& record) {
  const auto text = node.read("distance");
  if (!text) return Done{};
  std::string_view rest = trimmed(*text);
  while (!rest.empty()) {
    int distance = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), distance);
    if (error != std::errc{} || distance < 0 || (end != rest.data() + rest.size() && *end != ' ')) {
      return node.nonsense("distance", *text, "is no row of distances");
    }
    record.distances.push_back(distance);
    rest = trimmed(rest.substr(static_cast<std::size_t>(end - rest.data())));
  }
  if (!record.distances.empty() && record.distances.size() != online.size()) {
    return node.nonsense("distance", *text,
                         ("does not have one column for each of the " +
                          std::to_string(online.size()) + " nodes that are online")
                             .c_str());
  }
  return Done{};
}

// HMAT by way of the node's best initiators (Documentation/admin-guide/mm/numaperf.rst): ns and
// MiB/s. A kernel without the figures has no such folder, or zeros.
void read_speed(const Folder& node, NodeRecord& record) {
  const Folder speed = node.folder("access0/initiators");
  if (!speed.ok()) return;
  const auto figure = [&](const char* file, std::uint64_t unit) -> std::optional<std::uint64_t> {
    const auto text = speed.read(file);
    const auto value = text ? leading_number(*text) : std::nullopt;
    if (!value || *value == 0 || *value > std::numeric_limits<std::uint64_t>::max() / unit)
      return std::nullopt;
    return *value * unit;
  };
  record.read_latency_ns = figure("read_latency", 1);
  record.write_latency_ns = figure("write_latency", 1);
  record.read_bandwidth_bytes_s = figure("read_bandwidth", kMiB);
  record.write_bandwidth_bytes_s = figure("write_bandwidth", kMiB);
}

}  // namespace

Result<NodeRecord> read_node(const Folder& nodes, int id, const std::vector<int>& online) {
  NodeRecord record;
  record.node_id = id;
  const Folder node = nodes.folder(("node" + std::to_string(id)).c_str());
  if (!node.ok())
    return record;  // online by the list, gone by now (hot-unplug) or never there: nothing on it
  for (const Status& status :
       {read_cpus(node, record), read_memory(node, record), read_distances(node, online, record)}) {
    if (!status) return status.failure();
  }
  read_speed(node, record);
  return record;
}

}  // namespace numapool::platform
