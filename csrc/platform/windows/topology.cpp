// The nodes of a Windows machine: GetLogicalProcessorInformationEx, and the firmware's tables for
// what Windows does not tell (memory sizes: SRAT, distances: SLIT).
#include "platform/topology.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "platform/windows/firmware.hpp"
#include "platform/windows/nodes.hpp"

namespace numapool::platform {
namespace {

using windows::api;
using windows::failed;

// If a size is unknown, the free memory is used as a lower bound; if that is unknown too, every
// node is assumed to have an equal share.
void fill_sizes(std::vector<NodeRecord>& nodes) {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  const bool known = api().GlobalMemoryStatusEx(&status) != FALSE;
  if (nodes.size() == 1) {
    nodes.front().total_memory_bytes = known ? status.ullTotalPhys : 1;
    return;
  }
  const std::map<int, std::uint64_t> told = windows::memory_by_node();
  for (NodeRecord& node : nodes) {
    if (const auto found = told.find(node.node_id); found != told.end())
      node.total_memory_bytes = found->second;
    ULONGLONG free = 0;
    const auto number = static_cast<USHORT>(node.node_id);
    if (api().GetNumaAvailableMemoryNodeEx(number, &free) != FALSE) {
      node.total_memory_bytes = std::max<std::uint64_t>(node.total_memory_bytes.value_or(0), free);
    } else if (told.empty()) {
      node.total_memory_bytes = known ? status.ullTotalPhys / nodes.size() : 1;
    }
  }
}

// Windows tells of no kinds.
void fill_kinds(std::vector<NodeRecord>& nodes) {
  for (NodeRecord& node : nodes) {
    if (node.total_memory_bytes == 0) {
      node.kind_evidence = "the node has no memory";
    } else if (node.cpus.empty()) {
      node.kind_evidence = "the node has no CPUs, and Windows does not tell what its memory is";
    } else {
      node.kind = MemoryKind::kDram;
      node.kind_evidence = "the node has CPUs";
    }
  }
}

}  // namespace

Result<TopologyRecord> read_topology(const std::string& root) {
  if (root != "/") {
    return windows::no_such("read_topology", root + ": other roots hold Linux's files");
  }
  Result<std::vector<windows::NodeCpus>> found = windows::read_nodes();
  if (!found) return found.failure();
  TopologyRecord record;
  for (windows::NodeCpus& one : found.value()) {
    NodeRecord node;
    node.node_id = one.node_id;
    node.cpus = std::move(one.cpus);
    record.nodes.push_back(std::move(node));
    record.allowed.push_back(one.node_id);
  }
  fill_sizes(record.nodes);
  fill_kinds(record.nodes);
  const auto rows = windows::distances(record.allowed);
  for (std::size_t i = 0; i < rows.size(); ++i) record.nodes[i].distances = rows[i];
  return record;
}

Result<NodesNow> nodes_now() {
  return windows::no_such("nodes_now", "reading all of the topology is as cheap");
}

Result<std::uint64_t> free_memory_bytes(const std::string& root, int node_id) {
  if (root != "/") {
    return windows::no_such("free_memory_bytes", root + ": other roots hold Linux's files");
  }
  return windows::free_bytes_of(node_id);
}

}  // namespace numapool::platform
