// What an operating system must provide about threads: where they run, and their memory policy.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// The node of the CPU that the calling thread runs on; -1 if the system cannot tell.
[[nodiscard]] int current_node() noexcept;
// The CPU that the calling thread runs on, found without a system call if possible; -1 if the
// system cannot tell. The thread may move to another CPU before the caller uses the answer.
[[nodiscard]] int current_cpu() noexcept;

// While this object exists, the calling thread handles no signals, and threads that it starts
// meanwhile never do: a new thread inherits its creator's signal mask.
class NoSignals {
 public:
  NoSignals() noexcept;
  ~NoSignals();
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;
  NoSignals(NoSignals&&) = delete;
  NoSignals& operator=(NoSignals&&) = delete;

 private:
  std::array<unsigned long, 16> saved_{};  // the system's own type for a set of signals
};

// Prepares a thread of ours: if the system allows it, the thread runs on `cpus` only; empty: on any
// CPU. False if the system refuses these CPUs. Code that populates memory may ignore that, as
// placement does not depend on it.
bool prepare_worker(std::span<const int> cpus) noexcept;

// The memory policy of the calling thread, which applies to memory that other libraries allocate.
enum class ThreadMode {
  kDefault,
  kPreferred,  // one node
  kBind,
  kInterleave,
  kLocal,
  kPreferredMany,       // Linux 5.15; before that, refused with Cause::kInvalid
  kWeightedInterleave,  // Linux 6.9; the same
  kOther
};
struct ThreadPolicy {
  ThreadMode mode = ThreadMode::kDefault;
  int raw_mode = 0;  // the system's number with mode flags, so that any policy can be restored
  std::vector<int> nodes;  // ascending
};
Result<ThreadPolicy> thread_policy();
Status set_thread_policy(ThreadMode mode, std::span<const int> nodes);
Status restore_thread_policy(const ThreadPolicy& policy);

}  // namespace numapool::platform
