// The limits on memory that this process may still use.
#pragma once

#include <optional>
#include <span>

#include "platform/memory.hpp"

namespace numapool {

// Which memory is asked about: a strict policy of the calling thread limits memory that has no
// policy of its own.
enum class PolicyOf { kThread, kMapping };

// The smallest known limit; empty if none is known.
[[nodiscard]] std::optional<platform::Bound> least_bound(std::span<const platform::Bound> bounds,
                                                         PolicyOf policy = PolicyOf::kThread);

}  // namespace numapool
