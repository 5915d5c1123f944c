// The scripted machine's nodes: what a test says they are.
#include "platform/topology.hpp"

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

Result<std::uint64_t> free_memory_bytes(const std::string&, int node_id) {
  const Result<NodeRoom> room = node_room(node_id);
  if (!room) return room.failure();
  return room.value().free_bytes;
}

}  // namespace numapool::platform
