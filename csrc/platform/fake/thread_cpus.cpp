// The CPUs of the scripted machine's threads: each has those that it was given, at first all.
#include "platform/thread_cpus.hpp"

#include <algorithm>
#include <cerrno>

#include "platform/fake/topology_script.hpp"

namespace numapool::platform {
namespace {

thread_local std::vector<int> own_cpus;

std::vector<int> every_cpu() {
  std::vector<int> cpus;
  for (const NodeRecord& node : fake::topology_script().nodes)
    cpus.insert(cpus.end(), node.cpus.begin(), node.cpus.end());
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

Failure no_thread() { return {Cause::kOther, "thread", ESRCH, {}}; }

}  // namespace

AffinityRules affinity_rules() noexcept { return {true, "set_thread_cpus", true, true}; }

Result<std::vector<int>> thread_cpus(ThreadId thread) {
  if (thread != 0) return no_thread();
  return own_cpus.empty() ? every_cpu() : own_cpus;
}

Status set_thread_cpus(std::span<const int> cpus, ThreadId thread) {
  if (thread != 0) return no_thread();
  const std::vector<int> every = every_cpu();
  std::vector<int> known;
  for (const int cpu : every) {
    if (std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) known.push_back(cpu);
  }
  if (known.empty()) return Failure{Cause::kInvalid, "set_thread_cpus", EINVAL, {}};
  own_cpus = known == every ? std::vector<int>{} : known;
  return Done{};
}

Result<std::vector<int>> usable_cpus() { return thread_cpus(0); }
Result<std::vector<ThreadId>> thread_ids() { return std::vector<ThreadId>{1}; }
Status have_new_threads_follow(std::span<const int>) { return Done{}; }

}  // namespace numapool::platform
