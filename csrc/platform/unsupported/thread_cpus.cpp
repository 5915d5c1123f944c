// CPUs of threads on an unknown system: they can be neither read nor set.
#include "platform/thread_cpus.hpp"

namespace numapool::platform {
namespace {

Failure no_affinity(const char* job) { return {Cause::kUnsupported, job, 0, {}}; }

}  // namespace

AffinityRules affinity_rules() noexcept { return {}; }
Result<std::vector<int>> thread_cpus(ThreadId) { return no_affinity("thread_cpus"); }
Status set_thread_cpus(std::span<const int>, ThreadId) { return no_affinity("set_thread_cpus"); }
Result<std::vector<int>> usable_cpus() { return no_affinity("usable_cpus"); }
Result<std::vector<ThreadId>> thread_ids() { return no_affinity("thread_ids"); }
Status have_new_threads_follow(std::span<const int>) {
  return no_affinity("have_new_threads_follow");
}

}  // namespace numapool::platform
