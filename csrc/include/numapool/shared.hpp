// Places memory that several processes will map, once, before any other process has it.
#pragma once

#include <optional>
#include <string>

#include "numapool/buffer.hpp"
#include "numapool/topology.hpp"

namespace numapool {

struct SharedPlacement {
  BlockPlace place;
  std::string degraded;  // why no policy is in force; empty if one is
};

// Populates a new shared mapping of whole pages on `node`, or as near to it as possible. The policy
// belongs to the memory, not to the mapping. Throws Error: kNodeNotFound, kNoMemory, kPlacement and
// kUnsupported (strict only), kInterrupted; after an error the caller must free the memory.
[[nodiscard]] SharedPlacement place_shared(const Region& region, const Topology& topology, int node,
                                           bool strict, const InterruptCheck& check);

}  // namespace numapool
