// What an operating system must provide to count memory accesses that went to another node.
#pragma once

#include "platform/result.hpp"

namespace numapool::platform {

// Two running counters of one thread, as file descriptors that the caller reads (8 bytes each, an
// increasing number) and closes. They always count at the same times, so their ratio is right even
// if the processor has too few counters for all users.
struct NodeLoadCounters {
  int loads = -1;   // reads that were served from memory
  int remote = -1;  // those that were served from another node's memory
  // `loads` leaves out the reads in `remote`, as on some processors.
  bool loads_are_local = false;
};

// Counts for a thread of any process that this one may inspect. The kernel's own accesses are not
// counted.
Result<NodeLoadCounters> count_node_loads(int thread);

}  // namespace numapool::platform
