// What an operating system must provide to count which accesses to memory went to another node.
#pragma once

#include "platform/result.hpp"

namespace numapool::platform {

// Two running counters of one thread, as file descriptors that the caller reads (8 bytes each, a
// number that grows) and closes. They count at the same times, so that their ratio holds even where
// the processor has too few counters for all who want some.
struct NodeLoadCounters {
  int loads = -1;   // reads that memory answered
  int remote = -1;  // those that memory of another node answered
  // Whether `loads` leaves out what `remote` counts, as it does on some processors.
  bool loads_are_local = false;
};

// Of a thread of any process that this one may look at. Nothing of the kernel's own is counted.
Result<NodeLoadCounters> count_node_loads(int thread);

}  // namespace numapool::platform
