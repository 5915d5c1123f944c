// Pairs of hardware or software counters of a thread, by perf_event_open(2).
#pragma once

#include <cstdint>

#include "platform/node_loads.hpp"

namespace numapool::platform {

// Two counters of one type (perf_event_attr), which run at the same times.
Result<NodeLoadCounters> count_pair(int thread, std::uint32_t type, std::uint64_t loads,
                                    std::uint64_t remote);

}  // namespace numapool::platform
