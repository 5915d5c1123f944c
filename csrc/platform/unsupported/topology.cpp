// A machine of which nothing is known but its CPUs and its memory: one node.
#include "platform/topology.hpp"

#include <algorithm>
#include <numeric>
#include <thread>

#include "platform/unsupported/machine.hpp"

namespace numapool::platform {

// Another root would be a tree of Linux's files, which only the Linux side reads.
Result<TopologyRecord> read_topology(const std::string& root) {
  if (root != "/") return Failure{Cause::kUnsupported, "read_topology", 0, root};
  NodeRecord node;
  node.cpus.resize(std::max(1U, std::thread::hardware_concurrency()));
  std::iota(node.cpus.begin(), node.cpus.end(), 0);
  node.total_memory_bytes = unsupported::memory_bytes();
  node.kind = MemoryKind::kDram;
  node.kind_evidence = "all the memory there is";
  TopologyRecord record;
  record.allowed = {node.node_id};
  record.nodes.push_back(std::move(node));
  return record;
}

Result<NodesNow> nodes_now() { return Failure{Cause::kUnsupported, "nodes_now", 0, ""}; }

Result<std::uint64_t> free_memory_bytes(const std::string&, int node_id) {
  return Failure{Cause::kUnsupported, "free_memory_bytes", 0, "node " + std::to_string(node_id)};
}

}  // namespace numapool::platform
