// Placing memory that several processes will map: the chain of nodes, without starting over.
#include "numapool/shared.hpp"

#include <algorithm>
#include <array>

#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"

namespace numapool {
namespace {

using platform::Policy;

constexpr std::size_t kPullChunk = std::size_t{64} << 20;

struct Choice {
  int node = 0;             // preferred by the policy
  std::vector<int> within;  // where the pages belong
};

// The nearest node that could hold all of it; near nodes together before a farther one.
Choice choose(const Topology& topology, int node, const Region& region) {
  std::vector<int> within;
  for (const std::vector<int>& group : nodes_by_distance(topology, node)) {
    for (const int one : group) {
      if (may_hold(std::span(&one, 1), region.length, region.pages)) return {one, {one}};
    }
    within.insert(within.end(), group.begin(), group.end());
    if (may_hold(within, region.length, region.pages)) return {node, within};
  }
  if (const std::vector<int> others = left_out(topology, within); !others.empty()) {
    throw Error(ErrorKind::kNoMemory, "cannot allocate " + size_text(region.length) + ": " +
                                          left_out_text(within, others));
  }
  return {node, within};
}

std::uint64_t bytes_within(const Placement& seen, std::span<const int> nodes) {
  std::uint64_t sum = 0;
  for (const int node : nodes) sum += seen.bytes_on(node);
  return sum;
}

// All pages are resident and no other process has them: only here is a strict policy safe. It makes
// clean cache on the nodes give way; pages that do not fit stay. The policy belongs to the memory,
// so it must be replaced before other processes get it.
void pull_onto(const Region& region, const Choice& choice, const InterruptCheck& check) {
  const std::array<int, 1> target{choice.node};
  auto* const bytes = static_cast<char*>(region.address);
  for (std::size_t at = 0; at < region.length; at += kPullChunk) {
    check();
    const Region part{bytes + at, std::min(kPullChunk, region.length - at), region.pages};
    const std::uint64_t missing = part.length - bytes_within(placement_of(part), choice.within);
    if (missing == 0) continue;
    if (!has_room_to_move(choice.within, missing, part.pages)) return;
    const platform::Status moved =
        platform::set_policy(part.address, part.length, Policy::kBind, choice.within, true);
    const platform::Status restored =
        platform::set_policy(part.address, part.length, Policy::kPreferred, target, false);
    if (!restored) {
      throw Error(restored.failure().cause == platform::Cause::kNoMemory ? ErrorKind::kNoMemory
                                                                         : ErrorKind::kSystem,
                  "cannot take a strict memory policy off shared memory again: " +
                      describe(restored.failure()) + "; nothing was kept",
                  restored.failure().code);
    }
    if (!moved) return;
  }
}

}  // namespace

SharedPlacement place_shared(const Region& region, const Topology& topology, int node, bool strict,
                             const InterruptCheck& check) {
  require_usable(topology, node);
  if (region.length >= kLookBytes)
    require_available(region.length, "cannot allocate ", PolicyOf::kMapping);
  const Choice choice = strict ? Choice{node, {node}} : choose(topology, node, region);
  const int chosen = choice.node;
  const std::string what =
      "cannot place " + size_text(region.length) + " on node " + std::to_string(node) + " alone: ";
  if (strict && !may_hold(choice.within, region.length, region.pages))
    throw Error(ErrorKind::kPlacement, what + "it could never hold that much");

  SharedPlacement out;
  const std::array<int, 1> target{chosen};
  const platform::Status bound =
      platform::set_policy(region.address, region.length, Policy::kPreferred, target, false);
  if (!bound) {
    out.degraded = describe(bound.failure());
    if (strict) throw Error(ErrorKind::kUnsupported, what + out.degraded, bound.failure().code);
  }
  populate(region, {topology.node(chosen).cpus, !bound.ok()}, check);
  Placement seen = placement_of(region);
  if (bound.ok() && seen.unknown_bytes == 0 && bytes_within(seen, choice.within) != region.length) {
    pull_onto(region, choice, check);
    seen = placement_of(region);
  }
  const bool there = seen.wholly_on(node, region.length);
  if (strict && !there) {
    Error error(seen.unknown_bytes != 0 ? ErrorKind::kUnsupported : ErrorKind::kPlacement,
                what +
                    (seen.unknown_bytes != 0 ? "the system does not show where its pages are"
                                             : "it does not fit") +
                    "; nothing was kept");
    error.bytes_by_node = seen.bytes_by_node;
    throw error;
  }
  out.place = {node, seen.majority_node(), AllocationStep::kAny, bound.ok()};
  if (!bound) {
    out.place.step = AllocationStep::kUnbound;
  } else if (there) {
    out.place.step = AllocationStep::kPreferred;
  } else if (seen.sole_node()) {
    out.place.step = AllocationStep::kNearest;
  }
  return out;
}

}  // namespace numapool
