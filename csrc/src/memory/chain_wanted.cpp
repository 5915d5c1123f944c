// The nodes that an allocation is for: each alone, nearest first, then together.
#include <algorithm>

#include "memory/chain.hpp"
#include "memory/reach.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/size_text.hpp"

namespace numapool {

using platform::Precision;

bool Chain::is_wanted(int node) const {
  return std::find(wanted_.begin(), wanted_.end(), node) != wanted_.end();
}

bool Chain::wanted_hold_all(const Placement& seen) const {
  return !seen.bytes_by_node.empty() && seen.unknown_bytes == 0 &&
         bytes_elsewhere(seen, wanted_) == 0;
}

Chain::Outcome Chain::place_on_wanted(Precision precision) {
  Outcome out;
  bool invalid = false;
  for (const int node : wanted_) {
    if (!out.placement.bytes_by_node.empty()) empty();
    out = place_on(node, precision);
    if (out.placed) prefer_wanted();
    // If pages cannot be seen, trying the next node proves nothing more.
    if (out.placed || out.denied || out.placement.unknown_bytes != 0) return out;
    invalid = invalid || out.invalid;
  }
  out.invalid = invalid;
  // A split of less than 1 MiB is not worthwhile.
  if (usable_.size() < 2 || (mapping_.length() < kLookBytes && precision != Precision::kExact))
    return out;
  if (!may_hold(usable_, mapping_.length(), mapping_.pages())) {
    out.reason = "they can hold " + size_text(room_on(usable_, mapping_.pages()).value_or(0)) +
                 " together at most";
    return out;
  }
  if (!out.placement.bytes_by_node.empty()) empty();
  out = split_over(usable_, precision);
  if (out.placed && out.placement.unknown_bytes == 0 && !wanted_hold_all(out.placement)) {
    out.placed = false;
    out.reason = spread_text(out.placement);
  }
  out.invalid = invalid;
  return out;
}

// One node was preferred while the pages were populated. Before Linux 5.15, that policy stays.
bool Chain::prefer_wanted() const {
  if (usable_.size() < 2 || !platform::has_preferred_many()) return false;
  const platform::Status status = platform::set_policy(
      mapping_.address(), mapping_.length(), platform::Policy::kPreferredMany, usable_, false);
  if (status) return true;
  const platform::Failure& why = status.failure();
  if (platform::is_denied(why) || why.cause == platform::Cause::kInvalid) return false;
  fail_policy(usable_, why);
}

}  // namespace numapool
