// What an operating system must provide about the CPUs of threads: reading them, setting them, and
// listing the threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// A thread's number in this system: gettid(2), GetCurrentThreadId(). 0 is the calling thread.
using ThreadId = std::uint32_t;

// What this system can do with the CPUs of threads.
struct AffinityRules {
  bool available = false;  // CPUs can be read and set at all
  const char* call = "";   // the call that sets a thread's CPUs, for messages
  bool inherited = false;  // a thread starts with the CPUs of its creator
  // A thread that was given all possible CPUs has no list of its own: CPUs that are later added to
  // its cpuset are added to it as well.
  bool all_is_no_list = false;
};
[[nodiscard]] AffinityRules affinity_rules() noexcept;

// The CPUs that a thread may run on, ascending. The failure for a thread that has ended is ESRCH.
Result<std::vector<int>> thread_cpus(ThreadId thread);
// Restricts a thread to these CPUs. If the system keeps each thread within one group of CPUs, the
// thread gets those of one group, and successive threads get the groups in turn. A failure changes
// nothing: EINVAL if the thread may use none of these CPUs, ESRCH if it has ended.
Status set_thread_cpus(std::span<const int> cpus, ThreadId thread);
// The CPUs that the calling thread may choose from, as far as the system tells; ascending.
Result<std::vector<int>> usable_cpus();
// The threads of this process, in no order.
Result<std::vector<ThreadId>> thread_ids();
// Restricts threads that are started later to these CPUs, on systems where they do not inherit
// them.
Status have_new_threads_follow(std::span<const int> cpus);

}  // namespace numapool::platform
