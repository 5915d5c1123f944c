// Derives from a platform's record of its nodes: distances, nearest nodes, the node of a CPU.
#include "numapool/topology.hpp"

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <tuple>
#include <utility>

#include "numapool/error.hpp"
#include "platform/topology.hpp"

namespace numapool {
namespace {

// ACPI 6.5, 5.2.17 (SLIT): 10 is local, 20 the usual value for "remote, and nothing else known".
constexpr int kLocalDistance = 10;
constexpr int kRemoteDistance = 20;
constexpr const char* kDefaultNodes = "NUMAPOOL_DEFAULT_NODES";

std::string text_of(const platform::Failure& failure) {
  return failure.cause == platform::Cause::kUnintelligible
             ? "cannot make sense of " + failure.call + ": " + failure.detail
             : "cannot read " + failure.detail + ": " +
                   std::generic_category().message(failure.code);
}

[[noreturn]] void fail(const platform::Failure& failure) {
  if (failure.cause == platform::Cause::kUnintelligible)
    throw Error(ErrorKind::kTopology, text_of(failure));
  const auto kind =
      failure.cause == platform::Cause::kUnsupported ? ErrorKind::kUnsupported : ErrorKind::kSystem;
  throw Error(kind, "cannot read the NUMA topology: " + describe(failure), failure.code);
}

}  // namespace

std::string nodes_text(const std::vector<int>& ids) {
  std::string text = ids.size() == 1 ? "node " : "nodes ";
  for (const int id : ids) text += (id == ids.front() ? "" : ", ") + std::to_string(id);
  return text;
}

Topology::Topology(TopologyParts parts) : parts_(std::move(parts)) {
  const std::size_t count = parts_.nodes.size();
  bool fits = count != 0 && parts_.distances.size() == count;
  for (const std::vector<int>& row : parts_.distances) fits = fits && row.size() == count;
  if (!fits) {
    throw Error(ErrorKind::kInvalidArgument,
                "the parts of the topology do not fit each other: it needs a node or more, and a "
                "distance from each to each");
  }
  add_online_to_possible();
  if (parts_.defaults.empty()) static_cast<void>(choose_defaults({}));
}

// A node that goes online or offline between two reads leaves rows of the wrong length: the
// distances are read until two reads agree.
Topology Topology::detect(const std::optional<std::string>& defaults) {
  constexpr int kTries = 3;
  Topology out = from_sysfs("/");
  for (int attempt = 1; attempt < kTries && !out.parts_.notes.empty(); ++attempt) {
    Topology again = from_sysfs("/");
    const bool agree = again.parts_.notes == out.parts_.notes;
    out = std::move(again);
    if (agree) break;
  }
  if (defaults) {
    out.require_defaults(defaults);
  } else if (const char* const words = std::getenv(kDefaultNodes); words != nullptr) {
    const std::string wrong = out.choose_defaults(words);
    if (!wrong.empty()) {
      out.problem_ = std::string(kDefaultNodes) + " is ignored: " + wrong;
      out.parts_.notes.push_back(out.problem_);
    }
  }
  return out;
}

Topology Topology::from_sysfs(const std::string& root, bool strict,
                              const std::optional<std::string>& defaults) {
  platform::Result<platform::TopologyRecord> read = platform::read_topology(root);
  if (!read) fail(read.failure());
  platform::TopologyRecord record = std::move(read).value();
  Topology out;
  out.parts_.root = root;
  out.parts_.allowed = std::move(record.allowed);
  out.parts_.nodes.reserve(record.nodes.size());
  for (const platform::TopologyNote& note : record.notes) {
    if (strict && note.failure.cause == platform::Cause::kUnintelligible) fail(note.failure);
    out.parts_.notes.push_back(text_of(note.failure) + "; " + note.instead);
  }
  for (platform::NodeRecord& from : record.nodes) {
    out.parts_.distances.push_back(std::move(from.distances));
    out.parts_.nodes.push_back(Node{from.node_id, std::move(from.cpus), from.total_memory_bytes,
                                    from.memory_tier, from.read_latency_ns, from.write_latency_ns,
                                    from.read_bandwidth_bytes_s, from.write_bandwidth_bytes_s,
                                    from.memory_of_machine, from.kind,
                                    std::move(from.kind_evidence), from.movable_only});
  }
  out.parts_.possible = std::move(record.possible);
  out.add_online_to_possible();
  out.complete_distances();
  out.require_defaults(defaults);
  return out;
}

void Topology::add_online_to_possible() {
  for (const Node& node : parts_.nodes) parts_.possible.push_back(node.node_id);
  std::sort(parts_.possible.begin(), parts_.possible.end());
  parts_.possible.erase(std::unique(parts_.possible.begin(), parts_.possible.end()),
                        parts_.possible.end());
}

// A distance that is missing in a row may be in the column. If it is missing in both, it counts as
// no nearer than any known one.
void Topology::complete_distances() {
  const std::size_t count = parts_.nodes.size();
  std::vector<int> without_row;
  std::vector<int> without_both;
  int farthest = kRemoteDistance;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<int>& row = parts_.distances[i];
    if (row.empty()) without_row.push_back(parts_.nodes[i].node_id);
    row.resize(count, 0);
    for (std::size_t j = 0; j < count; ++j) {
      if (j != i) farthest = std::max(farthest, row[j]);
    }
  }
  const std::vector<std::vector<int>> told = parts_.distances;
  for (std::size_t i = 0; i < count; ++i) {
    bool assumed = false;
    for (std::size_t j = 0; j < count; ++j) {
      int& distance = parts_.distances[i][j];
      if (distance != 0) continue;
      distance = i == j ? kLocalDistance : told[j][i];
      if (distance == 0) {
        distance = farthest;
        assumed = true;
      }
    }
    if (assumed) without_both.push_back(parts_.nodes[i].node_id);
  }
  parts_.distances_assumed = !without_both.empty() || (count == 1 && !without_row.empty());
  if (without_row.empty() || without_row.size() == count) return;
  const std::string none = "the system gives no distances from " + nodes_text(without_row);
  parts_.notes.push_back(parts_.distances_assumed
                             ? none + ", and not all distances to them: " +
                                   std::to_string(farthest) + " stands in for these"
                             : none + "; the distances to them stand in");
}

const Node* Topology::find(int node_id) const noexcept {
  const auto found = std::lower_bound(parts_.nodes.begin(), parts_.nodes.end(), node_id,
                                      [](const Node& node, int id) { return node.node_id < id; });
  return found == parts_.nodes.end() || found->node_id != node_id ? nullptr : &*found;
}

const Node& Topology::node(int node_id) const { return parts_.nodes[index_of(node_id)]; }

std::size_t Topology::index_of(int node_id) const {
  if (const Node* found = find(node_id))
    return static_cast<std::size_t>(found - parts_.nodes.data());
  std::string exist;
  for (const Node& node : parts_.nodes)
    exist += (exist.empty() ? "" : ", ") + std::to_string(node.node_id);
  throw Error(ErrorKind::kNodeNotFound,
              "there is no node " + std::to_string(node_id) + "; this machine has: " + exist);
}

int Topology::distance(int from, int to) const {
  return parts_.distances[index_of(from)][index_of(to)];
}

bool Topology::is_usable(int node_id) const noexcept {
  const Node* const node = find(node_id);
  return node != nullptr && node->has_memory() &&
         std::binary_search(parts_.allowed.begin(), parts_.allowed.end(), node_id);
}

std::vector<int> Topology::usable_nodes() const {
  std::vector<int> out;
  for (const Node& node : parts_.nodes) {
    if (is_usable(node.node_id)) out.push_back(node.node_id);
  }
  return out;
}

std::vector<int> Topology::nearest(int node_id) const {
  const std::vector<int>& row = parts_.distances[index_of(node_id)];
  std::vector<int> out = usable_nodes();
  // The node itself comes first, whatever distance the firmware gives.
  const auto key = [&](int id) { return std::pair(id == node_id ? -1 : row[index_of(id)], id); };
  std::sort(out.begin(), out.end(), [&](int a, int b) { return key(a) < key(b); });
  return out;
}

std::vector<int> Topology::order_among(int node_id, std::vector<int> nodes) const {
  const std::vector<int>& row = parts_.distances[index_of(node_id)];
  const auto key = [&](int id) {
    const bool self = id == node_id;
    return std::tuple(!self && node(id).is_expander(), self ? -1 : row[index_of(id)], id);
  };
  std::sort(nodes.begin(), nodes.end(), [&](int a, int b) { return key(a) < key(b); });
  return nodes;
}

std::vector<int> Topology::memory_order(int node_id) const {
  std::vector<int> nodes = default_nodes();
  if (is_usable(node_id) && !is_default(node_id)) nodes.push_back(node_id);
  return order_among(node_id, std::move(nodes));
}

std::optional<int> Topology::node_of_cpu(int cpu) const noexcept {
  for (const Node& node : parts_.nodes) {
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
