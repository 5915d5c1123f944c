// How far a request may go: the usable nodes by distance, and whether some of them can hold it.
#include "reach.hpp"

#include "numapool/allocator.hpp"

namespace numapool {

std::vector<std::vector<int>> nodes_by_distance(const Topology& topology, int node) {
  std::vector<std::vector<int>> groups;
  int last = -1;
  for (const int one : topology.nearest(node)) {
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

bool may_hold(std::span<const int> nodes, std::uint64_t bytes, const platform::Pages& pages) {
  return bytes < kLookBytes || room_on(nodes, pages).value_or(bytes) >= bytes;
}

}  // namespace numapool
