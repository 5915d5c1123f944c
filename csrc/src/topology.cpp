// What follows from a platform's record of its nodes: distances, nearest nodes, the node of a CPU.
#include "numapool/topology.hpp"

#include <algorithm>
#include <utility>

#include "numapool/error.hpp"
#include "platform/topology.hpp"

namespace numapool {
namespace {

// ACPI 6.5, 5.2.17 (SLIT): 10 is local, 20 the usual value for "remote, no more is known".
constexpr int kLocalDistance = 10;
constexpr int kRemoteDistance = 20;

[[noreturn]] void fail(const platform::Failure& failure) {
  if (failure.cause == platform::Cause::kUnintelligible) {
    throw Error(ErrorKind::kTopology,
                "cannot make sense of " + failure.call + ": " + failure.detail);
  }
  const auto kind =
      failure.cause == platform::Cause::kUnsupported ? ErrorKind::kUnsupported : ErrorKind::kSystem;
  throw Error(kind, "cannot read the NUMA topology: " + describe(failure), failure.code);
}

}  // namespace

// A node that goes online or offline between two reads leaves rows of the wrong length: read again.
Topology Topology::detect() {
  constexpr int kTries = 3;
  for (int attempt = 1;; ++attempt) {
    try {
      return from_sysfs("/");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kTopology || attempt == kTries) throw;
    }
  }
}

Topology Topology::from_sysfs(const std::string& root) {
  platform::Result<platform::TopologyRecord> read = platform::read_topology(root);
  if (!read) fail(read.failure());
  platform::TopologyRecord record = std::move(read).value();
  Topology out;
  out.root_ = root;
  out.allowed_ = std::move(record.allowed);
  out.nodes_.reserve(record.nodes.size());
  for (std::size_t i = 0; i < record.nodes.size(); ++i) {
    platform::NodeRecord& from = record.nodes[i];
    if (from.distances.empty()) {
      out.distances_assumed_ = true;
      from.distances.assign(record.nodes.size(), kRemoteDistance);
      from.distances[i] = kLocalDistance;
    }
    out.distances_.push_back(std::move(from.distances));
    out.nodes_.push_back(Node{from.node_id, std::move(from.cpus), from.total_memory_bytes,
                              from.memory_tier, from.read_latency_ns, from.write_latency_ns,
                              from.read_bandwidth_bytes_s, from.write_bandwidth_bytes_s});
  }
  return out;
}

const Node* Topology::find(int node_id) const noexcept {
  const auto found = std::lower_bound(nodes_.begin(), nodes_.end(), node_id,
                                      [](const Node& node, int id) { return node.node_id < id; });
  return found == nodes_.end() || found->node_id != node_id ? nullptr : &*found;
}

const Node& Topology::node(int node_id) const { return nodes_[index_of(node_id)]; }

std::size_t Topology::index_of(int node_id) const {
  if (const Node* found = find(node_id)) return static_cast<std::size_t>(found - nodes_.data());
  std::string exist;
  for (const Node& node : nodes_)
    exist += (exist.empty() ? "" : ", ") + std::to_string(node.node_id);
  throw Error(ErrorKind::kNodeNotFound,
              "there is no node " + std::to_string(node_id) + "; this machine has: " + exist);
}

int Topology::distance(int from, int to) const { return distances_[index_of(from)][index_of(to)]; }

std::vector<int> Topology::usable_nodes() const {
  std::vector<int> out;
  for (const Node& node : nodes_) {
    const bool allowed = std::binary_search(allowed_.begin(), allowed_.end(), node.node_id);
    if (allowed && node.total_memory_bytes != 0) out.push_back(node.node_id);
  }
  return out;
}

std::vector<int> Topology::nearest(int node_id) const {
  const std::vector<int>& row = distances_[index_of(node_id)];
  std::vector<int> out = usable_nodes();
  // The node itself comes first whatever the firmware says of its distance.
  const auto key = [&](int id) { return std::pair(id == node_id ? -1 : row[index_of(id)], id); };
  std::sort(out.begin(), out.end(), [&](int a, int b) { return key(a) < key(b); });
  return out;
}

std::optional<int> Topology::node_of_cpu(int cpu) const noexcept {
  for (const Node& node : nodes_) {
    if (std::binary_search(node.cpus.begin(), node.cpus.end(), cpu)) return node.node_id;
  }
  return std::nullopt;
}

std::uint64_t free_memory_bytes(const std::string& root, int node_id) {
  const platform::Result<std::uint64_t> free = platform::free_memory_bytes(root, node_id);
  if (!free) fail(free.failure());
  return free.value();
}

}  // namespace numapool
