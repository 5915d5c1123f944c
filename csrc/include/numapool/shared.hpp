// Places memory that several processes will map, once, before any other process has it.
#pragma once

#include <optional>
#include <string>

#include "numapool/buffer.hpp"
#include "numapool/node_ids.hpp"
#include "numapool/topology.hpp"

namespace numapool {

struct SharedPlacement {
  BlockPlace place;
  std::string degraded;  // why no policy is in force; empty if one is
};

// Populates a new shared mapping of whole pages on one of `nodes`, the nearest to the calling
// thread that can hold all of it; else on those nodes together, or as near as possible. Of several
// nodes, the one with most of it counts as the one asked for. The policy belongs to the memory, not
// to the mapping. Throws Error: kNodeNotFound, kNoMemory, kPlacement and kUnsupported (strict
// only), kInterrupted; after an error the caller must free the memory.
[[nodiscard]] SharedPlacement place_shared(const Region& region, const Topology& topology,
                                           const NodeIds& nodes, bool strict,
                                           const InterruptCheck& check);

}  // namespace numapool
