// Placing memory that several processes will map: the chain of nodes, without starting over.
#include "numapool/shared.hpp"

#include <algorithm>
#include <array>

#include "look.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "populate.hpp"

namespace numapool {
namespace {

using platform::Policy;

constexpr std::size_t kPullChunk = std::size_t{64} << 20;

bool may_hold(int node, std::uint64_t bytes) {
  const auto room = platform::node_room(node);
  return !room || bytes <= room.value().free_bytes + room.value().clean_file_bytes;
}

// The nearest node that could hold all of it; the one asked for where none could.
int choose(const Topology& topology, int node, std::uint64_t bytes) {
  if (bytes < kLookBytes) return node;
  for (const int candidate : topology.nearest(node)) {
    if (may_hold(candidate, bytes)) return candidate;
  }
  return node;
}

// All pages are resident and no other process has them: the one case in which a strict policy puts
// nobody in danger. It makes clean cache on the node give way; what does not fit stays.
void pull_onto(const Region& region, int node, const InterruptCheck& check) {
  const std::array<int, 1> target{node};
  auto* const bytes = static_cast<char*>(region.address);
  for (std::size_t at = 0; at < region.length; at += kPullChunk) {
    check();
    const std::size_t part = std::min(kPullChunk, region.length - at);
    const platform::Status moved =
        platform::set_policy(bytes + at, part, Policy::kBind, target, true);
    if (!platform::set_policy(bytes + at, part, Policy::kPreferred, target, false)) return;
    if (!moved) return;
  }
}

}  // namespace

SharedPlacement place_shared(const Region& region, const Topology& topology, int node, bool strict,
                             const InterruptCheck& check) {
  require_usable(topology, node);
  if (region.length >= kLookBytes)
    require_available(region.length, "cannot allocate ", PolicyOf::kMapping);
  const int chosen = strict ? node : choose(topology, node, region.length);
  const std::string what =
      "cannot place " + size_text(region.length) + " on node " + std::to_string(node) + " alone: ";
  if (strict && region.length >= kLookBytes && !may_hold(node, region.length))
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
  if (bound.ok() && seen.unknown_bytes == 0 && !seen.wholly_on(chosen, region.length)) {
    pull_onto(region, chosen, check);
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
