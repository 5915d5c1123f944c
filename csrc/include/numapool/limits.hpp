// The limits on memory that this process may still use.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "platform/memory.hpp"

namespace numapool {

// Which memory is asked about: a strict policy of the calling thread limits memory that has no
// policy of its own.
enum class PolicyOf { kThread, kMapping };

// All limits, without what is free on the nodes that are left out (left_out_for() in
// home_node.hpp): the machine counts their memory too.
[[nodiscard]] std::vector<platform::Bound> bounds_without(std::span<const int> left_out);

// The smallest known limit; empty if none is known.
[[nodiscard]] std::optional<platform::Bound> least_bound(std::span<const platform::Bound> bounds,
                                                         PolicyOf policy = PolicyOf::kThread);

}  // namespace numapool
