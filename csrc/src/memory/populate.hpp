// Makes a new mapping resident in chunks, with as many threads as help, on the CPUs of the target
// node.
#pragma once

#include <span>

#include "numapool/buffer.hpp"
#include "numapool/limits.hpp"
#include "platform/memory.hpp"

namespace numapool {

struct PopulatePlan {
  std::span<const int> cpus;  // of the target node; empty: wherever the threads run
  // True where first touch decides the place (no policy was accepted): then a thread on those CPUs
  // must do it, however small the range.
  bool only_on_cpus = false;
};

// Populates the whole region. Between chunks of 256 MiB it looks whether the machine and the
// cgroups still have room for the rest. It calls `check` then, and every 50 ms or so. Throws
// Error(kNoMemory) or what `check` throws; pages populated so far stay until the caller drops the
// mapping.
void populate(const Region& region, const PopulatePlan& plan, const InterruptCheck& check);
inline void populate(const Mapping& mapping, const PopulatePlan& plan,
                     const InterruptCheck& check) {
  populate(mapping.region(), plan, check);
}

// Throws Error(kNoMemory) unless this process may still use `bytes`. `what` starts the message.
void require_available(std::uint64_t bytes, const char* what, PolicyOf policy = PolicyOf::kThread);
// The same of huge pages that an administrator reserved: no cgroup's limit on them is in the way.
void require_hugetlb(std::uint64_t bytes, const platform::Pages& pages);

}  // namespace numapool
