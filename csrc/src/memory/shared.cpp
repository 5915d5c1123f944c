// Placing memory that several processes will map: the chain of nodes, without starting over.
#include "numapool/shared.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"

namespace numapool {
namespace {

using platform::Policy;

constexpr std::size_t kPullChunk = std::size_t{64} << 20;

struct Choice {
  std::vector<int> preferred;  // by the policy; the first one's CPUs touch the pages
  std::vector<int> within;     // the nodes that the pages belong on
};

// The usable ones of `nodes`, nearest to the calling thread first.
std::vector<int> usable_of(const Topology& topology, const NodeIds& nodes) {
  if (nodes.size() == 1) {
    require_usable(topology, nodes.ids().front());
    return nodes.ids();
  }
  std::vector<int> usable;
  for (const int node : nearest_first(topology, node_here(topology), nodes)) {
    if (topology.is_usable(node)) usable.push_back(node);
  }
  if (usable.empty()) require_usable(topology, nodes.ids().front());  // says why
  return usable;
}

// The nearest node that could hold all of it; near nodes together before a farther one. Strictly
// nothing but the wanted nodes.
Choice choose(const Topology& topology, const std::vector<int>& wanted, const Region& region,
              bool strict) {
  std::vector<int> within;
  for (const std::vector<int>& group : nodes_by_distance(topology, wanted)) {
    for (const int one : group) {
      if (may_hold(std::span(&one, 1), region.length, region.pages)) return {{one}, {one}};
    }
    within.insert(within.end(), group.begin(), group.end());
    // The wanted nodes come first.
    if (within.size() == wanted.size() && (strict || may_hold(within, region.length, region.pages)))
      return {within, within};
    if (may_hold(within, region.length, region.pages)) return {{within.front()}, within};
  }
  if (const std::vector<int> others = left_out(topology, within); !others.empty()) {
    throw Error(ErrorKind::kNoMemory, "cannot allocate " + size_text(region.length) + ": " +
                                          left_out_text(within, others));
  }
  return {{within.front()}, within};
}

// Before Linux 5.15, at most one node can be preferred.
platform::Status prefer(const Region& region, const std::vector<int>& nodes) {
  if (nodes.size() > 1 && platform::has_preferred_many()) {
    platform::Status many =
        platform::set_policy(region.address, region.length, Policy::kPreferredMany, nodes, false);
    if (many || many.failure().cause != platform::Cause::kInvalid) return many;
  }
  return platform::set_policy(region.address, region.length, Policy::kPreferred,
                              std::span(nodes).first(1), false);
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
  auto* const bytes = static_cast<char*>(region.address);
  for (std::size_t at = 0; at < region.length; at += kPullChunk) {
    check();
    const Region part{bytes + at, std::min(kPullChunk, region.length - at), region.pages};
    const std::uint64_t missing = part.length - bytes_within(placement_of(part), choice.within);
    if (missing == 0) continue;
    if (!has_room_to_move(choice.within, missing, part.pages)) return;
    const platform::Status moved =
        platform::set_policy(part.address, part.length, Policy::kBind, choice.within, true);
    const platform::Status restored = prefer(part, choice.preferred);
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

// The pages are there: those elsewhere are moved, and the policy that stays is of all wanted nodes.
Placement settled(const Region& region, const Choice& choice, const std::vector<int>& wanted,
                  const InterruptCheck& check) {
  Placement seen = placement_of(region);
  if (seen.unknown_bytes != 0) return seen;
  if (bytes_within(seen, choice.within) != region.length) {
    pull_onto(region, choice, check);
    seen = placement_of(region);
  }
  const int first = choice.preferred.front();
  if (wanted.size() == 1 || std::find(wanted.begin(), wanted.end(), first) == wanted.end())
    return seen;
  if (bytes_within(seen, wanted) != region.length) {  // the member alone did not hold it
    pull_onto(region, {choice.preferred, wanted}, check);
    seen = placement_of(region);
  }
  static_cast<void>(prefer(region, wanted));  // else the member stays preferred
  return seen;
}

}  // namespace

SharedPlacement place_shared(const Region& region, const Topology& topology, const NodeIds& nodes,
                             bool strict, const InterruptCheck& check) {
  const std::vector<int> wanted = usable_of(topology, nodes);
  const std::vector<int> others = left_out_for(topology, wanted);
  if (region.length >= kLookBytes)
    require_available(region.length, "cannot allocate ", PolicyOf::kMapping, others);
  const Choice choice = choose(topology, wanted, region, strict);
  const std::string what =
      "cannot place " + size_text(region.length) + " on " + nodes_text(nodes.ids()) + " alone: ";
  if (strict && !may_hold(choice.within, region.length, region.pages)) {
    throw Error(ErrorKind::kPlacement,
                what + (nodes.size() == 1 ? "it" : "they") + " could never hold that much");
  }

  SharedPlacement out;
  const platform::Status bound = prefer(region, choice.preferred);
  if (!bound) {
    out.degraded = describe(bound.failure());
    if (strict) throw Error(ErrorKind::kUnsupported, what + out.degraded, bound.failure().code);
  }
  populate(region, {topology.node(choice.preferred.front()).cpus, !bound.ok(), others}, check);
  const Placement seen = bound ? settled(region, choice, wanted, check) : placement_of(region);
  const bool there = seen.unknown_bytes == 0 && bytes_within(seen, wanted) == region.length;
  if (strict && !there) {
    Error error(seen.unknown_bytes != 0 ? ErrorKind::kUnsupported : ErrorKind::kPlacement,
                what +
                    (seen.unknown_bytes != 0 ? "the system does not show where its pages are"
                                             : "it does not fit") +
                    "; nothing was kept");
    error.bytes_by_node = seen.bytes_by_node;
    throw error;
  }
  const std::optional<int> landed = seen.majority_node();
  const bool wanted_there =
      landed && std::find(wanted.begin(), wanted.end(), *landed) != wanted.end();
  out.place = {wanted_there ? *landed : wanted.front(), landed, AllocationStep::kAny, bound.ok()};
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
