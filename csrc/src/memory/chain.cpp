// One allocation on one node: sets the policy, populates the pages, checks where they are, and
// repairs what is elsewhere.
#include "memory/chain.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"

namespace numapool {

using platform::Cause;
using platform::PageKind;
using platform::Policy;
using platform::Precision;

namespace {

// If less than this plus a quarter of the request is free beyond it, some pages may land elsewhere:
// the kernel keeps reserves (min_free_kbytes), and other processes allocate at the same time.
constexpr std::uint64_t kTightBytes = std::uint64_t{64} << 20;
constexpr int kMostPulls = 8;
constexpr int kMostInVain = 4;

}  // namespace

void fail_policy(const std::vector<int>& nodes, const platform::Failure& failure) {
  throw Error(failure.cause == Cause::kNoMemory ? ErrorKind::kNoMemory : ErrorKind::kSystem,
              "cannot set the memory policy for " + nodes_text(nodes) + ": " + describe(failure),
              failure.code);
}

std::string spread_text(const Placement& placement) {
  std::string text;
  for (const auto& [node, bytes] : placement.bytes_by_node) {
    text += (text.empty() ? "" : ", ") + size_text(bytes) + " on node " + std::to_string(node);
  }
  return text.empty() ? "no byte landed anywhere" : text;
}

std::uint64_t bytes_elsewhere(const Placement& placement, std::span<const int> nodes) {
  std::uint64_t sum = 0;
  for (const auto& [id, bytes] : placement.bytes_by_node)
    sum += std::find(nodes.begin(), nodes.end(), id) == nodes.end() ? bytes : 0;
  return sum;
}

Chain::Chain(const Topology& topology, std::vector<int> wanted, Mapping mapping, bool core_dump,
             const InterruptCheck& check)
    : topology_(topology),
      wanted_(std::move(wanted)),
      mapping_(std::move(mapping)),
      core_dump_(core_dump),
      check_(check),
      groups_(nodes_by_distance(topology, wanted_)) {
  for (const std::vector<int>& group : groups_)
    order_.insert(order_.end(), group.begin(), group.end());
  left_out_ = left_out(topology_, order_);
  std::copy_if(order_.begin(), order_.end(), std::back_inserter(usable_),
               [this](int node) { return is_wanted(node); });
}

platform::Status Chain::prefer(int node) const {
  const std::array<int, 1> target{node};
  return platform::set_policy(mapping_.address(), mapping_.length(), Policy::kPreferred, target,
                              false);
}

Placement Chain::look_now(Precision precision) const {
  return look(mapping_.address(), mapping_.length(), mapping_.pages(), precision);
}

// A node without CPUs is filled by the nearest CPUs.
std::vector<int> Chain::cpus_for(int node) const {
  const Node* best = topology_.find(node);
  if (best != nullptr && !best->cpus.empty()) return best->cpus;
  best = nullptr;
  for (const Node& other : topology_.nodes()) {
    if (other.cpus.empty()) continue;
    if (best == nullptr ||
        topology_.distance(node, other.node_id) < topology_.distance(node, best->node_id)) {
      best = &other;
    }
  }
  return best == nullptr ? std::vector<int>{} : best->cpus;
}

Chain::Outcome Chain::settle(AllocationStep step, Placement placement,
                             const std::string& reason) const {
  Outcome out;
  out.placed = true;
  out.step = step;
  out.bound = true;
  out.node_id = placement.majority_node();
  out.reason = reason;
  out.placement = std::move(placement);
  return out;
}

Chain::Outcome Chain::set_policy_only() {
  Outcome none;
  for (const int node : order_) {
    const platform::Status bound = prefer(node);
    if (bound) {
      Outcome out =
          settle(is_wanted(node) ? AllocationStep::kPreferred : AllocationStep::kNearest, {}, "");
      out.node_id = node;  // where the policy will put the pages
      // With several nodes, each page comes from the one nearest to the thread that touches it.
      if (is_wanted(node) && prefer_wanted()) out.node_id = std::nullopt;
      out.invalid = none.invalid;
      return out;
    }
    const platform::Failure& why = bound.failure();
    if (!platform::is_denied(why) && why.cause != Cause::kInvalid) fail_policy({node}, why);
    none.reason =
        "memory is not bound to " + nodes_text(NodeIds(wanted_).ids()) + ": " + describe(why);
    none.denied = why;
    if (platform::is_denied(why)) break;
    none.invalid = true;
  }
  return none;
}

// More than the node's free pages and clean file pages can never fit.
Chain::Fit Chain::fit_on(int node) const {
  Fit fit;
  if (std::find(order_.begin(), order_.end(), node) == order_.end()) {
    fit.cannot =
        "node " + std::to_string(node) + " has no memory, or this process is not allowed to use it";
    return fit;
  }
  const std::uint64_t length = mapping_.length();
  if (length < kLookBytes || mapping_.pages().kind == PageKind::kHugetlb) return fit;
  const auto room = platform::node_room(node);
  const std::uint64_t free = room ? room.value().free_bytes : 0;
  fit.roomy = free >= length * 5 / 4 + kTightBytes;
  if (!room) return fit;
  const std::uint64_t clean = room.value().clean_file_bytes;
  if (length <= free + clean) return fit;
  fit.cannot = "it can hold " + size_text(free + clean) + " at most (" + size_text(free) +
               " free, " + size_text(clean) + " of clean file cache)";
  return fit;
}

Chain::Outcome Chain::place_on(int node, Precision precision) {
  Outcome out;
  const Fit fit = fit_on(node);
  if (fit.cannot) {
    out.reason = *fit.cannot;
    return out;
  }
  const platform::Status bound = prefer(node);
  if (!bound) {
    const platform::Failure& why = bound.failure();
    out.reason = describe(why);
    if (platform::is_denied(why)) out.denied = why;
    if (!out.denied && why.cause != Cause::kInvalid) fail_policy({node}, why);
    out.invalid = !out.denied;
    return out;
  }
  const std::vector<int> cpus = cpus_for(node);
  populate(mapping_, {cpus, false, left_out_}, check_);
  const std::uint64_t length = mapping_.length();
  const bool strict = precision == Precision::kExact;
  if (!fit.roomy) precision = Precision::kExact;  // a sample can miss a few pages elsewhere
  Placement seen = look_now(precision);
  if (seen.unknown_bytes != 0) {
    out =
        settle(is_wanted(node) ? AllocationStep::kPreferred : AllocationStep::kNearest, seen,
               "the policy was accepted, but this process may not see where pages are (move_pages, "
               "get_mempolicy and numa_maps are refused)");
    out.node_id = std::nullopt;
    if (strict) out.placed = false;  // without proof it does not count as placed
    return out;
  }
  const bool huge = mapping_.pages().kind == PageKind::kTransparent;
  const std::array<int, 1> alone{node};
  const auto base_pages = [&] {
    redo_with_base_pages(alone);
    seen = look_now(precision);
    return true;
  };
  bool redone = false;
  if (huge && !seen.wholly_on(node, length) && has_free(node, bytes_elsewhere(seen, alone)))
    redone = base_pages();
  seen = pull_onto(alone, node, std::move(seen), precision);
  // Reclaiming clean cache frees scattered base pages, in which a huge page may not fit.
  if (huge && !redone && !seen.wholly_on(node, length)) {
    base_pages();
    seen = pull_onto(alone, node, std::move(seen), precision);
  }
  if (seen.wholly_on(node, length)) {
    return settle(is_wanted(node) ? AllocationStep::kPreferred : AllocationStep::kNearest,
                  std::move(seen), "");
  }
  out.bound = true;
  out.reason = spread_text(seen);
  out.placement = std::move(seen);
  return out;
}

bool Chain::has_free(int node, std::uint64_t bytes) {
  const auto room = platform::node_room(node);
  return room && room.value().free_bytes >= bytes;
}

// With fragmented memory, huge pages may be free only on another node while this one has free base
// pages: then base pages win.
void Chain::redo_with_base_pages(std::span<const int> nodes) {
  const platform::Pages& pages = mapping_.pages();
  // For the whole mapping at once: advice on parts would split it. Existing huge pages stay.
  if (!platform::forbid_huge_pages(mapping_.address(), mapping_.length())) return;
  auto* const begin = static_cast<char*>(mapping_.address());
  const platform::Pages base{PageKind::kBase, platform::base_page_bytes()};
  for (std::size_t at = 0; at < mapping_.length(); at += pages.bytes) {
    const std::size_t part = std::min(pages.bytes, mapping_.length() - at);
    const Placement seen = look(begin + at, part, pages, Precision::kExact);
    if (seen.not_resident_bytes + seen.unknown_bytes == 0 && bytes_elsewhere(seen, nodes) == 0)
      continue;
    if (!platform::discard(begin + at, part)) continue;
    const platform::Status again = platform::populate(begin + at, part, base);
    if (!again) {
      throw Error(ErrorKind::kNoMemory, "cannot populate: " + describe(again.failure()),
                  again.failure().code);
    }
  }
}

// A strict policy with MPOL_MF_MOVE reclaims clean cache on the node and moves what fits; for the
// rest it returns EIO (mbind(2), MPOL_MF_STRICT). It is safe because every page is resident and no
// other thread has the memory yet: no page can be populated while the policy is in force. Under
// load, reclaim may end early with cache left, as mbind does not retry. So the call is repeated
// while it makes progress, and after pauses of 1, 4 and 16 ms if it does not.
Placement Chain::pull_onto(std::span<const int> nodes, int home, Placement seen,
                           Precision precision) {
  int in_vain = 0;
  for (int pulls = 0; pulls < kMostPulls && in_vain < kMostInVain; ++pulls) {
    const std::uint64_t missing = bytes_elsewhere(seen, nodes);
    if (missing == 0 || seen.not_resident_bytes != 0) break;
    if (!has_room_to_move(nodes, missing, mapping_.pages())) break;
    if (in_vain != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1 << 2 * (in_vain - 1)));
    const platform::Status moved =
        platform::set_policy(mapping_.address(), mapping_.length(), Policy::kBind, nodes, true);
    restore_preferred(home);
    seen = look_now(precision);
    if (!moved && platform::is_denied(moved.failure())) break;
    if (bytes_elsewhere(seen, nodes) >= missing) ++in_vain;
  }
  return seen;
}

void Chain::restore_preferred(int node) const {
  const platform::Status restored = prefer(node);
  if (!restored) fail_policy({node}, restored.failure());
}

}  // namespace numapool
