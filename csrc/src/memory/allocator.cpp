// The chain: preferred nodes -> nearest by distance -> any. No memory is ever populated under a
// strict policy.
#include "numapool/allocator.hpp"

#include <algorithm>
#include <cerrno>

#include "memory/chain.hpp"
#include "memory/page_choice.hpp"
#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"
#include "platform/thread.hpp"

namespace numapool {
namespace {

// The nodes of a request, those nearest to the calling thread first.
std::vector<int> resolve_nodes(const Topology& topology, const NodeIds& nodes) {
  for (const int node : nodes) static_cast<void>(topology.node(node));  // throws kNodeNotFound
  if (nodes.size() == 1) return nodes.ids();
  const int here = node_here(topology);
  return nodes.empty() ? std::vector<int>{here} : nearest_first(topology, here, nodes);
}

[[noreturn]] void refuse_strict(const AllocationRequest& request, const std::vector<int>& wanted,
                                const Chain::Outcome& outcome) {
  std::string text = "cannot place " + size_text(request.size_bytes) + " on " +
                     nodes_text(NodeIds(wanted).ids()) + " alone: " + outcome.reason;
  if (outcome.denied) throw Error(ErrorKind::kUnsupported, text, outcome.denied->code);
  if (outcome.placement.unknown_bytes != 0) throw Error(ErrorKind::kUnsupported, text);
  Error error(ErrorKind::kPlacement, text + "; nothing was kept");
  error.bytes_by_node = outcome.placement.bytes_by_node;
  throw error;
}

// Memory with its own policy is not limited by the thread's policy.
PolicyOf policy_of(const AllocationRequest& request) {
  return request.nodes.empty() ? PolicyOf::kThread : PolicyOf::kMapping;
}

// The beginning of every allocation: rounds to whole pages, and checks that there is room.
PageChoice checked_choice(const AllocationRequest& request, const Topology& topology,
                          const std::vector<int>& wanted) {
  const PageChoice choice = choose_pages(request.size_bytes, request.page);
  const bool reserved = choice.pages.kind == platform::PageKind::kHugetlb;
  if (choice.length >= kLookBytes && !reserved) {
    require_available(choice.length, "cannot allocate ", policy_of(request),
                      left_out_for(topology, wanted));
  }
  return choice;
}

Mapping map_for(const AllocationRequest& request, const PageChoice& choice) {
  Mapping mapping = map_chosen(choice);
  if (!request.core_dump) keep_out_of_dumps(mapping);
  return mapping;
}

// Of several nodes, the one that has the memory counts as the one asked for.
int requested(const std::vector<int>& wanted, const std::optional<int>& landed) {
  const bool there = landed && std::find(wanted.begin(), wanted.end(), *landed) != wanted.end();
  return there ? *landed : wanted.front();
}

Allocation finish(const AllocationRequest& request, const std::vector<int>& wanted, Chain& chain,
                  const Chain::Outcome& outcome) {
  Allocation out;
  Block& block = out.block;
  block.size_bytes = request.size_bytes;
  block.mapping = chain.take_mapping();
  block.place = {requested(wanted, outcome.node_id), outcome.node_id, outcome.step, outcome.bound};
  if (outcome.denied) {
    out.degradations.push_back({Degradation::Cause::kPolicyRefused, outcome.reason});
  } else if (outcome.placement.unknown_bytes != 0) {
    out.degradations.push_back({Degradation::Cause::kNotVerified, outcome.reason});
  }
  if (request.mlock) lock_block(block, request.populate);
  return out;
}

// A node that has gone, or that this process may no longer use, makes the kernel return EINVAL. It
// shows as "no room there", as an error of the policy call, or as memory that no node accepts.
bool may_be_outdated(const Error& error) noexcept {
  return error.kind() == ErrorKind::kPlacement || error.kind() == ErrorKind::kNoMemory ||
         error.kind() == ErrorKind::kNodeNotFound ||
         (error.kind() == ErrorKind::kSystem && error.code() == EINVAL);
}

}  // namespace

void require_usable(const Topology& topology, int node) {
  static_cast<void>(topology.node(node));
  if (topology.is_usable(node)) return;
  throw Error(
      ErrorKind::kPlacement,
      "node " + std::to_string(node) + " has no memory, or this process is not allowed to use it");
}

// The machine as it is now; empty if it is still as `seen`, cannot be read, or was given by the
// caller.
SharedTopology Allocator::changed_since(const Topology& seen) const {
  if (topology_ != nullptr) return nullptr;
  try {
    SharedTopology now = topology_now();
    return now.get() == &seen ? nullptr : now;
  } catch (const Error&) {
    return nullptr;
  }
}

// A failed attempt leaves nothing behind, so it can be repeated. If the machine has not changed, or
// cannot be read, the first error is thrown.
template <class Work>
auto Allocator::on_machine(const SharedTopology& topology, const Work& work) const {
  SharedTopology renewed;
  try {
    return work(*topology);
  } catch (const Error& error) {
    if (!may_be_outdated(error)) throw;
    renewed = changed_since(*topology);
    if (renewed == nullptr) throw;
  }
  return work(*renewed);
}

// The chain would silently skip the node that was asked for: it may have gone.
void Allocator::require_current(const Topology& topology, const std::string& reason) const {
  if (changed_since(topology) != nullptr)
    throw Error(ErrorKind::kPlacement, "the machine's nodes have changed: " + reason);
}

// The topology for a request, whether it names nodes or uses the thread's own.
SharedTopology Allocator::topology_for(const NodeIds& nodes) const {
  SharedTopology topology;
  for (const int node : nodes) topology = topology_for(node);
  if (topology != nullptr) return topology;
  const int home = home_node();
  return topology_for(home >= 0 ? home : platform::current_node());
}

Allocation Allocator::allocate(const AllocationRequest& request,
                               const InterruptCheck& check) const {
  if (request.strict && !request.populate) {
    throw Error(ErrorKind::kInvalidArgument,
                "strict=True needs populate=True: where a page lands is known once it is there");
  }
  const auto attempt = [&](const Topology& topology) {
    const std::vector<int> wanted = resolve_nodes(topology, request.nodes);
    const PageChoice choice = checked_choice(request, topology, wanted);
    Chain chain(topology, wanted, map_for(request, choice), request.core_dump, check);
    Chain::Outcome outcome;
    if (!request.populate) {
      outcome = chain.set_policy_only();
      if (outcome.invalid) require_current(topology, outcome.reason);
    } else {
      outcome = chain.place_on_wanted(request.strict ? platform::Precision::kExact
                                                     : platform::Precision::kSampled);
      if (outcome.invalid && !outcome.placed) require_current(topology, outcome.reason);
      if (request.strict && !outcome.placed) refuse_strict(request, wanted, outcome);
      if (!outcome.placed) outcome = chain.place_beyond_wanted(std::move(outcome));
    }
    return finish(request, wanted, chain, outcome);
  };
  return on_machine(topology_for(request.nodes), attempt);
}

Allocator::Attempt Allocator::try_preferred(const AllocationRequest& request,
                                            const InterruptCheck& check) const {
  const auto attempt = [&](const Topology& topology) -> Attempt {
    const std::vector<int> wanted = resolve_nodes(topology, request.nodes);
    const PageChoice choice = checked_choice(request, topology, wanted);
    Chain chain(topology, wanted, map_for(request, choice), request.core_dump, check);
    Chain::Outcome outcome = chain.place_on_wanted(platform::Precision::kSampled);
    if (outcome.invalid && !outcome.placed) require_current(topology, outcome.reason);
    if (!outcome.placed && outcome.denied) outcome = chain.place_beyond_wanted(std::move(outcome));
    if (!outcome.placed) return {std::nullopt, std::move(outcome.reason)};
    return {finish(request, wanted, chain, outcome), {}};
  };
  return on_machine(topology_for(request.nodes), attempt);
}

Allocator::Attempt Allocator::try_as_far_as(const AllocationRequest& request, int farthest,
                                            const InterruptCheck& check) const {
  const auto attempt = [&](const Topology& topology) -> Attempt {
    const std::vector<int> wanted = resolve_nodes(topology, request.nodes);
    const PageChoice choice = checked_choice(request, topology, wanted);
    std::vector<int> within;
    for (const std::vector<int>& group : nodes_by_distance(topology, wanted)) {
      within.insert(within.end(), group.begin(), group.end());
      if (std::find(group.begin(), group.end(), farthest) != group.end()) break;
    }
    if (!may_hold(within, choice.length, choice.pages))
      return {std::nullopt, "the nodes as near as node " + std::to_string(farthest) + " are full"};
    Chain chain(topology, wanted, map_for(request, choice), request.core_dump, check);
    Chain::Outcome outcome = chain.split_over(within, platform::Precision::kSampled);
    if (!outcome.placed) return {std::nullopt, std::move(outcome.reason)};
    return {finish(request, wanted, chain, outcome), {}};
  };
  return on_machine(topology_for(request.nodes), attempt);
}

}  // namespace numapool
