// Placing memory that several processes will map: once, before any other has it.
#pragma once

#include <optional>
#include <string>

#include "numapool/buffer.hpp"
#include "numapool/topology.hpp"

namespace numapool {

struct SharedPlacement {
  BlockPlace place;
  std::string degraded;  // why no policy is in force; empty where one is
};

// Populates a new shared mapping of whole pages on `node`, or as near as it fits. The policy goes
// with the memory, not with the mapping. Throws Error: kNodeNotFound, kNoMemory, kPlacement and
// kUnsupported (strict only), kInterrupted; the caller drops the memory then.
[[nodiscard]] SharedPlacement place_shared(const Region& region, const Topology& topology, int node,
                                           bool strict, const InterruptCheck& check);

}  // namespace numapool
