// Moves a region part by part, by as many threads as help.
#pragma once

#include <optional>

#include "numapool/buffer.hpp"
#include "platform/memory.hpp"

namespace numapool {

// Moves the region's pages to `node` as far as they fit. `pages` tells how they are asked for: as
// the region's, or one by one. Calls `check` before each part, about every 50 ms where threads move
// them, and throws what it throws. Returns the failure that ended it.
[[nodiscard]] std::optional<platform::Failure> move_in_parts(const Region& region,
                                                             const platform::Pages& pages, int node,
                                                             const InterruptCheck& check);

}  // namespace numapool
