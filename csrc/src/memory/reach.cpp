// How far a request may go: the usable nodes by distance, and whether some of them can hold it.
#include "memory/reach.hpp"

#include <algorithm>
#include <utility>

#include "numapool/allocator.hpp"
#include "numapool/home_node.hpp"

namespace numapool {

std::vector<std::vector<int>> nodes_by_distance(const Topology& topology,
                                                std::span<const int> wanted) {
  std::vector<std::vector<int>> groups(1);
  for (const int one : wanted) {
    static_cast<void>(topology.node(one));  // throws kNodeNotFound
    if (topology.is_usable(one)) groups.front().push_back(one);
  }
  if (groups.front().empty()) groups.clear();
  // Firmware may give another node the same distance as the node itself.
  std::pair<bool, int> last{false, -1};
  for (const int one : topology.order_among(wanted.front(), unasked_nodes(topology))) {
    if (std::find(wanted.begin(), wanted.end(), one) != wanted.end()) continue;
    const std::pair reach(topology.node(one).is_expander(), topology.distance(wanted.front(), one));
    if (groups.empty() || reach != last) groups.emplace_back();
    groups.back().push_back(one);
    last = reach;
  }
  return groups;
}

std::vector<int> left_out(const Topology& topology, std::span<const int> order) {
  std::vector<int> nodes;
  for (const int node : topology.usable_nodes()) {
    const bool used = std::find(order.begin(), order.end(), node) != order.end();
    if (!used && !topology.is_default(node)) nodes.push_back(node);
  }
  return nodes;
}

std::string left_out_text(std::span<const int> order, const std::vector<int>& left_out) {
  return nodes_text({order.begin(), order.end()}) + " cannot hold it, and memory of " +
         nodes_text(left_out) +
         " is used only if you name it (it belongs to a device, or "
         "NUMAPOOL_DEFAULT_NODES leaves it out)";
}

std::vector<int> nearest_first(const Topology& topology, int here, const NodeIds& nodes) {
  std::vector<int> out = nodes.ids();
  const auto far = [&](int node) { return node == here ? -1 : topology.distance(here, node); };
  std::stable_sort(out.begin(), out.end(), [&](int a, int b) { return far(a) < far(b); });
  return out;
}

std::optional<std::uint64_t> room_on(std::span<const int> nodes, const platform::Pages& pages) {
  if (pages.kind == platform::PageKind::kHugetlb) return std::nullopt;
  std::uint64_t sum = 0;
  for (const int node : nodes) {
    const auto room = platform::node_room(node);
    if (!room) return std::nullopt;
    sum += room.value().free_bytes + room.value().clean_file_bytes;
  }
  return sum;
}

bool has_room_to_move(std::span<const int> nodes, std::uint64_t bytes,
                      const platform::Pages& pages) {
  if (pages.kind == platform::PageKind::kHugetlb) return true;
  std::uint64_t free = 0;
  std::uint64_t spare = 0;
  std::uint64_t clean = 0;
  for (const int node : nodes) {
    const auto room = platform::node_room(node);
    if (!room) return true;
    free += room.value().free_bytes;
    clean += room.value().clean_file_bytes;
    const auto above = platform::spare_bytes(node);
    spare += above ? above.value() : room.value().free_bytes;
  }
  // Reclaiming much cache frees more than these figures tell, as it also drains the CPUs' free
  // lists.
  if (clean >= bytes / 2) return free + clean >= bytes;
  return std::min(spare, free) + clean >= bytes;
}

bool may_hold(std::span<const int> nodes, std::uint64_t bytes, const platform::Pages& pages) {
  return bytes < kLookBytes || room_on(nodes, pages).value_or(bytes) >= bytes;
}

}  // namespace numapool
