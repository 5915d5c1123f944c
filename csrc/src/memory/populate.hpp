// Populates a new mapping in chunks, with as many threads as help, on CPUs of the target node.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "numapool/buffer.hpp"
#include "numapool/limits.hpp"
#include "platform/memory.hpp"

namespace numapool {

struct PopulatePlan {
  std::span<const int> cpus;  // CPUs of the target node; empty: threads run anywhere
  // True if first touch decides the place (no policy was accepted): a thread on those CPUs must
  // then populate, however small the range.
  bool only_on_cpus = false;
  // Nodes whose memory is not for the region; see require_available().
  std::span<const int> left_out = {};
};

// While it lives, whatever populate() does for the calling thread is added to `bytes`, piece by
// piece.
class PopulateMeter {
 public:
  explicit PopulateMeter(std::atomic<std::uint64_t>& bytes) noexcept;
  ~PopulateMeter();
  PopulateMeter(const PopulateMeter&) = delete;
  PopulateMeter& operator=(const PopulateMeter&) = delete;

 private:
  std::atomic<std::uint64_t>* const outer_;
};

// Populates the whole region. After each chunk of 256 MiB, it checks that the machine and the
// cgroups still have room for the rest. It calls `check` then, and about every 50 ms. Throws
// Error(kNoMemory), or what `check` throws; pages populated so far stay until the caller unmaps
// them.
void populate(const Region& region, const PopulatePlan& plan, const InterruptCheck& check);
inline void populate(const Mapping& mapping, const PopulatePlan& plan,
                     const InterruptCheck& check) {
  populate(mapping.region(), plan, check);
}

// Throws Error(kNoMemory) unless this process may still use `bytes`, without the memory of the
// nodes that are left out. The message starts with `what`.
void require_available(std::uint64_t bytes, const char* what, PolicyOf policy = PolicyOf::kThread,
                       std::span<const int> left_out = {});
// The same for reserved huge pages: checks the cgroups' limits on them.
void require_hugetlb(std::uint64_t bytes, const platform::Pages& pages);

}  // namespace numapool
