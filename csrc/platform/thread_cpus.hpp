// What an operating system must provide about the CPUs of threads: reading them, setting them, and
// which threads there are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// A thread as the system numbers it: gettid(2), GetCurrentThreadId(). 0 is the calling one.
using ThreadId = std::uint32_t;

// How CPUs and threads go together on this system.
struct AffinityRules {
  bool available = false;  // there is a way at all
  const char* call = "";   // the call that sets a thread's CPUs, for messages
  bool inherited = false;  // a thread starts with the CPUs of the one that starts it
  // A thread that was given every CPU there could be has no list of its own: what is added to its
  // cpuset later is its as well.
  bool all_is_no_list = false;
};
[[nodiscard]] AffinityRules affinity_rules() noexcept;

// The CPUs that a thread may run on, ascending. Of a thread that has ended the failure is ESRCH.
Result<std::vector<int>> thread_cpus(ThreadId thread);
// Has a thread run on these CPUs alone; where the system keeps a thread within a group of CPUs, on
// those of one group, which threads take in turn. A failure changes nothing: EINVAL where the
// thread may use none of them, ESRCH where it has ended.
Status set_thread_cpus(std::span<const int> cpus, ThreadId thread);
// The CPUs that the calling thread may choose from, as far as the system tells; ascending.
Result<std::vector<int>> usable_cpus();
// The threads of this process, in no order.
Result<std::vector<ThreadId>> thread_ids();
// Has threads that are started from now on run on these CPUs, where they do not inherit them.
Status have_new_threads_follow(std::span<const int> cpus);

}  // namespace numapool::platform
