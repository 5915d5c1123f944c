// The scripted machine's nodes: what a test says they are.
#include "platform/topology.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "platform/fake/memory_script.hpp"
#include "platform/fake/topology_script.hpp"

namespace numapool::platform {
namespace fake {
namespace {

TopologyRecord one_node() { return machine_of({node(0, {0, 1, 2, 3}, std::uint64_t{1} << 30)}); }

}  // namespace

TopologyRecord& topology_script() {
  static TopologyRecord script = one_node();
  return script;
}

std::optional<Failure>& topology_failure() {
  static std::optional<Failure> failure;
  return failure;
}

std::atomic<int>& topology_looks() {
  static std::atomic<int> looks{0};
  return looks;
}

void reset_topology() {
  topology_script() = one_node();
  topology_failure().reset();
}

NodeRecord node(int node_id, std::vector<int> cpus, std::uint64_t memory_bytes,
                std::vector<int> distances) {
  NodeRecord record;
  record.node_id = node_id;
  record.cpus = std::move(cpus);
  record.total_memory_bytes = memory_bytes;
  record.distances = std::move(distances);
  return record;
}

TopologyRecord machine_of(std::initializer_list<NodeRecord> nodes) {
  TopologyRecord record;
  for (const NodeRecord& one : nodes) {
    record.nodes.push_back(one);
    record.allowed.push_back(one.node_id);
  }
  return record;
}

}  // namespace fake

Result<TopologyRecord> read_topology(const std::string&) {
  if (fake::topology_failure()) return *fake::topology_failure();
  return fake::topology_script();
}

Result<NodesNow> nodes_now() {
  ++fake::topology_looks();
  if (fake::topology_failure()) return *fake::topology_failure();
  NodesNow now;
  const TopologyRecord& script = fake::topology_script();
  for (const NodeRecord& node : script.nodes) {
    now.online.push_back(node.node_id);
    now.cpus.insert(now.cpus.end(), node.cpus.begin(), node.cpus.end());
    const auto& allowed = script.allowed;
    if (node.total_memory_bytes != 0 &&
        std::find(allowed.begin(), allowed.end(), node.node_id) != allowed.end())
      now.usable.push_back(node.node_id);
  }
  std::sort(now.cpus.begin(), now.cpus.end());
  now.cpus.erase(std::unique(now.cpus.begin(), now.cpus.end()), now.cpus.end());
  return now;
}

Result<std::uint64_t> free_memory_bytes(const std::string&, int node_id) {
  const Result<NodeRoom> room = node_room(node_id);
  if (!room) return room.failure();
  return room.value().free_bytes;
}

}  // namespace numapool::platform
