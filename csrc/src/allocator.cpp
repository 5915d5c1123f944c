// The chain: preferred node -> nearest by distance -> any, without ever asking for memory under a
// strict bind.
#include "numapool/allocator.hpp"

#include <algorithm>

#include "chain.hpp"
#include "look.hpp"
#include "numapool/error.hpp"
#include "numapool/home.hpp"
#include "page_choice.hpp"
#include "populate.hpp"
#include "reach.hpp"

namespace numapool {
namespace {

int resolve_node(const Topology& topology, const std::optional<int>& preferred) {
  if (preferred) return topology.node(*preferred).node_id;  // throws kNodeNotFound
  return node_here(topology);
}

[[noreturn]] void refuse_strict(const AllocationRequest& request, int preferred,
                                const Chain::Outcome& outcome) {
  std::string text = "cannot place " + size_text(request.size_bytes) + " on node " +
                     std::to_string(preferred) + " alone: " + outcome.reason;
  if (outcome.denied) throw Error(ErrorKind::kUnsupported, text, outcome.denied->code);
  if (outcome.placement.unknown_bytes != 0) throw Error(ErrorKind::kUnsupported, text);
  Error error(ErrorKind::kPlacement, text + "; nothing was kept");
  error.bytes_by_node = outcome.placement.bytes_by_node;
  throw error;
}

// Memory that is put on a node has a policy of its own, whatever the thread's is.
PolicyOf policy_of(const AllocationRequest& request) {
  return request.preferred_node ? PolicyOf::kMapping : PolicyOf::kThread;
}

// What every allocation begins with: whole pages, and room for them.
Extent checked_extent(const AllocationRequest& request) {
  const Extent extent = choose_extent(request.size_bytes, request.page);
  const bool reserved = extent.pages.kind == platform::PageKind::kHugetlb;
  if (extent.length >= kLookBytes && !reserved)
    require_available(extent.length, "cannot allocate ", policy_of(request));
  return extent;
}

Mapping map_for(const AllocationRequest& request, const Extent& extent) {
  Mapping mapping = map_extent(extent);
  if (!request.dump) keep_out_of_dumps(mapping);
  return mapping;
}

Allocation finish(const AllocationRequest& request, int preferred, Chain& chain,
                  const Chain::Outcome& outcome) {
  Allocation out;
  Block& block = out.block;
  block.size_bytes = request.size_bytes;
  block.mapping = chain.take_mapping();
  block.place = {preferred, outcome.node_id, outcome.step, outcome.bound};
  if (outcome.denied) {
    out.degradations.push_back({Degradation::Cause::kPolicyRefused, outcome.reason});
  } else if (outcome.placement.unknown_bytes != 0) {
    out.degradations.push_back({Degradation::Cause::kNotVerified, outcome.reason});
  }
  if (request.lock) lock_block(block, request.populate);
  return out;
}

}  // namespace

void require_usable(const Topology& topology, int node) {
  static_cast<void>(topology.node(node));
  const std::vector<int> usable = topology.usable_nodes();
  if (std::find(usable.begin(), usable.end(), node) != usable.end()) return;
  throw Error(
      ErrorKind::kPlacement,
      "node " + std::to_string(node) + " has no memory, or this process is not allowed to use it");
}

Allocation Allocator::allocate(const AllocationRequest& request,
                               const InterruptCheck& check) const {
  if (request.strict && !request.populate) {
    throw Error(ErrorKind::kInvalidArgument,
                "strict=True needs populate=True: where a page lands is known once it is there");
  }
  const int preferred = resolve_node(*topology_, request.preferred_node);
  const Extent extent = checked_extent(request);
  Chain chain(*topology_, preferred, map_for(request, extent), request.dump, check);
  Chain::Outcome outcome;
  if (!request.populate) {
    outcome = chain.set_policy_only();
  } else {
    outcome = chain.place_on(
        preferred, request.strict ? platform::Precision::kExact : platform::Precision::kSampled);
    if (request.strict && !outcome.placed) refuse_strict(request, preferred, outcome);
    if (!outcome.placed) outcome = chain.place_beyond_preferred(std::move(outcome));
  }
  return finish(request, preferred, chain, outcome);
}

Allocator::Attempt Allocator::try_node(const AllocationRequest& request,
                                       const InterruptCheck& check) const {
  const int preferred = resolve_node(*topology_, request.preferred_node);
  const Extent extent = checked_extent(request);
  Chain chain(*topology_, preferred, map_for(request, extent), request.dump, check);
  Chain::Outcome outcome = chain.place_on(preferred, platform::Precision::kSampled);
  if (!outcome.placed && outcome.denied) outcome = chain.place_beyond_preferred(std::move(outcome));
  if (!outcome.placed) return {std::nullopt, std::move(outcome.reason)};
  return {finish(request, preferred, chain, outcome), {}};
}

Allocator::Attempt Allocator::try_as_far_as(const AllocationRequest& request, int farthest,
                                            const InterruptCheck& check) const {
  const int preferred = resolve_node(*topology_, request.preferred_node);
  const Extent extent = checked_extent(request);
  std::vector<int> within;
  for (const std::vector<int>& group : nodes_by_distance(*topology_, preferred)) {
    within.insert(within.end(), group.begin(), group.end());
    if (std::find(group.begin(), group.end(), farthest) != group.end()) break;
  }
  if (!may_hold(within, extent.length, extent.pages))
    return {std::nullopt, "the nodes as near as node " + std::to_string(farthest) + " are full"};
  Chain chain(*topology_, preferred, map_for(request, extent), request.dump, check);
  Chain::Outcome outcome = chain.split_over(within);
  if (!outcome.placed) return {std::nullopt, std::move(outcome.reason)};
  return {finish(request, preferred, chain, outcome), {}};
}

}  // namespace numapool
