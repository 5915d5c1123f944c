// What an operating system must provide about threads: where they run, and their own memory policy.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// The node of the CPU that the calling thread runs on; -1 where the system cannot tell.
[[nodiscard]] int current_node() noexcept;
// The CPU that the calling thread runs on, without a system call where the system allows it; -1
// where it cannot tell. It may be another one by the time the caller looks at it.
[[nodiscard]] int current_cpu() noexcept;

// While one lives, no signal of others is handled on the calling thread, nor ever on a thread that
// it starts meanwhile: a new thread has its maker's signal mask from its first instruction.
class NoSignals {
 public:
  NoSignals() noexcept;
  ~NoSignals();
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;
  NoSignals(NoSignals&&) = delete;
  NoSignals& operator=(NoSignals&&) = delete;

 private:
  std::array<unsigned long, 16> saved_{};  // the system's own set of signals
};

// Prepares a thread of our own: where the system allows it runs on `cpus` only; none of them:
// anywhere. False where the system does not let it have its CPUs (which who fills memory may
// ignore: placement does not depend on it).
bool prepare_worker(std::span<const int> cpus) noexcept;

// The memory policy of the calling thread, for memory that other libraries allocate.
enum class ThreadMode {
  kDefault,
  kPreferred,  // of one node
  kBind,
  kInterleave,
  kLocal,
  kPreferredMany,       // Linux 5.15; refused with Cause::kInvalid before
  kWeightedInterleave,  // Linux 6.9; the same
  kOther
};
struct ThreadPolicy {
  ThreadMode mode = ThreadMode::kDefault;
  int raw_mode = 0;  // the system's number, mode flags included, so that any policy can be restored
  std::vector<int> nodes;  // ascending
};
Result<ThreadPolicy> thread_policy();
Status set_thread_policy(ThreadMode mode, std::span<const int> nodes);
Status restore_thread_policy(const ThreadPolicy& policy);

}  // namespace numapool::platform
