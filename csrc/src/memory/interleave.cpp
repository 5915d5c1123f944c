// Memory spread over nodes page by page, equally or by the system's weights.
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "memory/page_choice.hpp"
#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"

namespace numapool {
namespace {

std::string join(const std::vector<int>& nodes) {
  std::string text;
  for (const int node : nodes) text += (text.empty() ? "" : ",") + std::to_string(node);
  return text;
}

std::vector<int> resolve_nodes(const Topology& topology, std::vector<int> nodes) {
  if (nodes.empty()) return unasked_nodes(topology);
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  for (const int node : nodes) require_usable(topology, node);
  return nodes;
}

// The weights in force. The kernel has one table for the whole system; a call cannot override it.
std::vector<unsigned> resolve_weights(const InterleaveRequest& request,
                                      const std::vector<int>& nodes) {
  if (!request.weighted) return std::vector<unsigned>(nodes.size(), 1);
  const auto table = platform::interleave_weights(nodes);
  if (!table) {
    throw Error(ErrorKind::kUnsupported,
                "weighted interleaving needs Linux 6.9 or later (" + describe(table.failure()) +
                    "); without weights=, pages are spread equally",
                table.failure().code);
  }
  const std::vector<unsigned>& have = table.value();
  if (request.weights.empty()) return have;
  if (request.weights.size() != nodes.size())
    throw Error(ErrorKind::kInvalidArgument, "weights must be one for each of the nodes");
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto asked = std::uint64_t{request.weights[i]} * have[0];
    const auto given = std::uint64_t{have[i]} * request.weights[0];
    if (asked == given) continue;
    std::string remedy;
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      remedy += (k == 0 ? "" : "; ") + std::string("echo ") + std::to_string(request.weights[k]) +
                " > /sys/kernel/mm/mempolicy/weighted_interleave/node" + std::to_string(nodes[k]);
    }
    throw Error(ErrorKind::kUnsupported,
                "the kernel interleaves by one table of weights for the whole system, and it does "
                "not have the "
                "weights asked for; as root: " +
                    remedy);
  }
  return have;
}

// Whether every node has its share, except for the last round of pages.
bool spread_as_asked(const Placement& seen, const std::vector<int>& nodes,
                     const std::vector<unsigned>& weights, std::uint64_t length) {
  const std::uint64_t total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::uint64_t share = length / total * weights[i];
    const std::uint64_t slack = seen.page_size_bytes * (weights[i] + std::uint64_t{1});
    const std::uint64_t have = seen.bytes_on(nodes[i]);
    if (have + slack < share || have > share + slack + total) return false;
    counted += have;
  }
  return counted == length;
}

// The system's own fallback ignores that memory is left out.
void require_not_left_out(const Topology& topology, const Placement& seen,
                          const std::vector<int>& nodes) {
  const std::vector<int> others = left_out(topology, nodes);
  for (const int node : others) {
    if (seen.bytes_on(node) != 0)
      throw Error(ErrorKind::kNoMemory, "cannot interleave: " + left_out_text(nodes, others));
  }
}

std::vector<int> cpus_of(const Topology& topology, const std::vector<int>& nodes) {
  std::vector<int> cpus;
  for (const int node : nodes) {
    const Node& info = topology.node(node);
    cpus.insert(cpus.end(), info.cpus.begin(), info.cpus.end());
  }
  return cpus;
}

}  // namespace

Allocation Allocator::allocate_interleaved(const InterleaveRequest& request,
                                           const InterruptCheck& check) const {
  if (request.strict && !request.populate) {
    throw Error(ErrorKind::kInvalidArgument,
                "strict=True needs populate=True: where a page lands is known once it is there");
  }
  const PageChoice choice = choose_pages(request.size_bytes, request.page);
  const SharedTopology topology = topology_ != nullptr ? topology_ : topology_now();
  const std::vector<int> nodes = resolve_nodes(*topology, request.nodes);
  const std::vector<unsigned> weights = resolve_weights(request, nodes);
  const bool reserved = choice.pages.kind == platform::PageKind::kHugetlb;
  const std::vector<int> others = left_out_for(*topology, nodes);
  if (choice.length >= kLookBytes && !reserved)
    require_available(choice.length, "cannot allocate ", PolicyOf::kMapping, others);

  Allocation out;
  Block& block = out.block;
  block.size_bytes = request.size_bytes;
  block.mapping = map_chosen(choice);
  if (!request.core_dump) keep_out_of_dumps(block.mapping);
  const auto policy =
      request.weighted ? platform::Policy::kWeightedInterleave : platform::Policy::kInterleave;
  const platform::Status bound =
      platform::set_policy(block.mapping.address(), block.mapping.length(), policy, nodes, false);
  if (!bound) {
    const platform::Failure& why = bound.failure();
    const std::string text =
        "memory is not interleaved over nodes " + join(nodes) + ": " + describe(why);
    // The nodes are usable: a system that calls them invalid does not let processes choose
    // (sandboxes).
    if (!platform::is_denied(why) && why.cause != platform::Cause::kInvalid)
      throw Error(ErrorKind::kSystem, text, why.code);
    if (request.strict) throw Error(ErrorKind::kUnsupported, text, why.code);
    out.degradations.push_back({Degradation::Cause::kPolicyRefused, text});
  }
  block.place.bound = bound.ok();
  block.place.step = bound ? AllocationStep::kPreferred : AllocationStep::kUnbound;
  if (request.populate) {
    const std::vector<int> cpus = cpus_of(*topology, nodes);
    populate(block.mapping, {cpus, false, others}, check);
    const Placement seen = placement_of(block.mapping.region());
    if (block.place.bound && seen.unknown_bytes != 0) {
      const std::string text =
          "the policy was accepted, but this process may not see where pages are";
      if (request.strict) throw Error(ErrorKind::kUnsupported, text);
      out.degradations.push_back({Degradation::Cause::kNotVerified, text});
    } else if (block.place.bound &&
               !spread_as_asked(seen, nodes, weights, block.mapping.length())) {
      require_not_left_out(*topology, seen, nodes);
      block.place.step = AllocationStep::kAny;
      if (request.strict) {
        Error error(ErrorKind::kPlacement,
                    "cannot spread " + size_text(request.size_bytes) + " over nodes " +
                        join(nodes) + " as asked: a node is short of memory; nothing was kept");
        error.bytes_by_node = seen.bytes_by_node;
        throw error;
      }
    }
  }
  if (request.mlock) lock_block(block, request.populate);
  return out;
}

}  // namespace numapool
