// The nodes beyond the wanted ones, if those cannot hold an allocation: nearer nodes before farther
// ones.
#include <algorithm>
#include <utility>

#include "memory/chain.hpp"
#include "memory/page_choice.hpp"
#include "memory/populate.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"
#include "numapool/size_text.hpp"

namespace numapool {

using platform::PageKind;
using platform::Precision;

Chain::Outcome Chain::place_beyond_wanted(Outcome first) {
  if (first.denied) return place_unbound(*first.denied);
  std::vector<int> within;
  for (const std::vector<int>& group : groups_) {
    for (const int node : group) {
      if (is_wanted(node)) continue;
      // The kernel's own fallback also goes by distance: it may have put everything on the node
      // that the chain tries next.
      if (first.placement.sole_node() == node &&
          first.placement.wholly_on(node, mapping_.length())) {
        const platform::Status bound = prefer(node);
        if (bound) return settle(AllocationStep::kNearest, std::move(first.placement), "");
      }
      if (!first.placement.bytes_by_node.empty()) empty();
      first = place_on(node, Precision::kSampled);
      if (first.placed) return first;
      if (first.denied) return place_unbound(*first.denied);
    }
    within.insert(within.end(), group.begin(), group.end());
    const bool everywhere = within.size() == order_.size();
    // The wanted nodes together were tried already.
    if (within.size() <= std::max(usable_.size(), std::size_t{1}) && !everywhere) continue;
    // A split of less than 1 MiB is not worthwhile.
    if (!everywhere && mapping_.length() < kLookBytes) continue;
    const bool confined = !everywhere || !left_out_.empty();
    if (confined && !may_hold(within, mapping_.length(), mapping_.pages())) continue;
    if (!first.placement.bytes_by_node.empty()) empty();
    first = split_over(within, Precision::kSampled);
    if (first.placed) return first;
  }
  // All nodes are usable, but the system accepts none of them in a policy: some sandboxes do that.
  if (first.denied) return place_unbound(*first.denied);
  if (!left_out_.empty()) {
    throw Error(ErrorKind::kNoMemory, "cannot allocate " + size_text(mapping_.length()) + ": " +
                                          left_out_text(order_, left_out_));
  }
  throw Error(ErrorKind::kNoMemory, "no node of this machine accepts memory: " + first.reason);
}

// If the first node (by distance) is full, its zone list decides where pages go. The list skips
// nodes full of clean cache, perhaps all that are wanted here; then pages are moved.
Chain::Outcome Chain::split_over(std::span<const int> nodes, Precision precision) {
  Outcome out;
  std::optional<int> home;
  for (const int node : nodes) {
    const platform::Status bound = prefer(node);
    if (bound) {
      home = node;
      break;
    }
    out.reason = describe(bound.failure());
    out.denied = bound.failure();
  }
  if (!home) return out;
  out.denied.reset();
  // Among the wanted nodes, the system may choose by itself.
  if (std::all_of(nodes.begin(), nodes.end(), [this](int node) { return is_wanted(node); }))
    prefer_wanted();
  const std::vector<int> cpus = cpus_for(*home);
  populate(mapping_, {cpus, false, left_out_}, check_);
  const bool everywhere = nodes.size() == order_.size();
  // The system's own fallback ignores an inherited strict policy, and memory that is left out.
  const bool anywhere = everywhere && order_.size() == topology_.usable_nodes().size();
  Placement seen = look_now(anywhere ? precision : Precision::kExact);
  if (!anywhere) {
    seen = pull_onto(nodes, *home, std::move(seen), Precision::kExact);
    if (mapping_.pages().kind == PageKind::kTransparent && bytes_elsewhere(seen, nodes) != 0) {
      redo_with_base_pages(nodes);
      seen = pull_onto(nodes, *home, look_now(Precision::kExact), Precision::kExact);
    }
    const bool strays = std::any_of(left_out_.begin(), left_out_.end(),
                                    [&](int node) { return seen.bytes_on(node) != 0; });
    if (strays || (!everywhere && bytes_elsewhere(seen, nodes) != 0)) {
      out.reason = spread_text(seen);
      out.placement = std::move(seen);
      return out;
    }
  }
  prefer_wanted();
  const bool as_wanted = wanted_hold_all(seen);
  return settle(as_wanted ? AllocationStep::kPreferred : AllocationStep::kAny, std::move(seen),
                as_wanted ? "" : "no node as near could hold it alone");
}

// Before Linux 5.18, MADV_DONTNEED does not free hugetlb pages. No other thread has the memory yet,
// so it can be mapped again elsewhere.
void Chain::empty() {
  if (platform::discard(mapping_.address(), mapping_.length())) return;
  const std::size_t length = mapping_.length();
  const platform::Pages pages = mapping_.pages();
  mapping_.reset();  // first: the pages of the next one may be these
  mapping_ = map_chosen({pages, length});
  if (!core_dump_) keep_out_of_dumps(mapping_);
}

// No policy was accepted. What remains is first touch by the node's own CPUs.
Chain::Outcome Chain::place_unbound(platform::Failure denied) {
  const bool several = order_.size() > 1;
  const std::vector<int> cpus = cpus_for(wanted_.front());
  populate(mapping_, {cpus, several, left_out_}, check_);
  Outcome out = settle(AllocationStep::kUnbound, look_now(Precision::kSampled), "");
  out.bound = false;
  if (out.placement.unknown_bytes != 0) out.node_id = std::nullopt;
  out.reason = "memory is not bound to " + nodes_text(NodeIds(wanted_).ids()) + ": " +
               describe(denied) + "; it was first touched on the CPUs of " +
               (wanted_.size() == 1 ? "that node" : "node " + std::to_string(wanted_.front())) +
               " instead";
  // The system lets only the process's starter choose nodes.
  if (const std::vector<int> bind = inherited_bind(topology_); !bind.empty())
    out.reason += ", and the policy that this process was started with binds it to " +
                  nodes_text(bind) + " (numactl --membind, or NUMAPolicy=bind of systemd)";
  out.denied = std::move(denied);
  return out;
}

}  // namespace numapool
