// How far a request may go: the usable nodes by distance, and whether some of them can hold it.
#include "memory/reach.hpp"

#include <algorithm>

#include "numapool/allocator.hpp"
#include "numapool/home_node.hpp"

namespace numapool {

std::vector<std::vector<int>> nodes_by_distance(const Topology& topology, int node) {
  std::vector<std::vector<int>> groups;
  const std::vector<int> bind = inherited_bind(topology);
  int last = -1;
  for (const int one : topology.nearest(node)) {
    const bool left_out = !bind.empty() && std::find(bind.begin(), bind.end(), one) == bind.end();
    if (left_out && one != node) continue;
    // Firmware may give another node the distance of the node itself.
    const int distance = one == node ? -1 : topology.distance(node, one);
    if (groups.empty() || distance != last) groups.emplace_back();
    groups.back().push_back(one);
    last = distance;
  }
  return groups;
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
  // Reclaim of much cache frees more than these figures say, the lists of CPUs among it.
  if (clean >= bytes / 2) return free + clean >= bytes;
  return std::min(spare, free) + clean >= bytes;
}

bool may_hold(std::span<const int> nodes, std::uint64_t bytes, const platform::Pages& pages) {
  return bytes < kLookBytes || room_on(nodes, pages).value_or(bytes) >= bytes;
}

}  // namespace numapool
