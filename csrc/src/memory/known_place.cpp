// Looks again at where a region is after pages were moved.
#include "memory/known_place.hpp"

#include <algorithm>

#include "numapool/placement.hpp"

namespace numapool {
namespace {

BlockPlace found_on(const BlockPlace& before, int node, bool all_of_it) noexcept {
  BlockPlace out = before;
  out.node_id = node;
  if (out.step == AllocationStep::kUnbound) return out;
  if (!all_of_it) {
    out.step = AllocationStep::kAny;
  } else {
    out.step = out.requested_node.value_or(node) == node ? AllocationStep::kPreferred
                                                         : AllocationStep::kNearest;
  }
  return out;
}

}  // namespace

KnownPlace KnownPlace::looked_up(const Region& region) const {
  // Reads the count of moves before the look: a move meanwhile causes another look.
  KnownPlace out(place_);
  const Placement seen = placement_of(region);
  const std::optional<int> node = seen.majority_node();
  if (node && seen.unknown_bytes == 0)
    out.place_ = found_on(place_, *node, seen.sole_node().has_value());
  return out;
}

BlockPlace place_of_most(const BlockPlace& one,
                         const std::map<int, std::size_t>& blocks_by_node) noexcept {
  const auto most =
      std::max_element(blocks_by_node.begin(), blocks_by_node.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == blocks_by_node.end()) return one;
  return found_on(one, most->first, blocks_by_node.size() == 1);
}

}  // namespace numapool
