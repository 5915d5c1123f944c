// The CPUs of threads: sched_getaffinity(2), sched_setaffinity(2), and the threads in /proc.
#include "platform/thread_cpus.hpp"

#include <dirent.h>
#include <sched.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kTasks = "/proc/self/task";

struct FreeSet {
  void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, FreeSet>;
constexpr std::size_t kSetBytes = CPU_ALLOC_SIZE(kMaxCpus);

CpuSet empty_set() {
  CpuSet set(CPU_ALLOC(kMaxCpus));
  if (set != nullptr) CPU_ZERO_S(kSetBytes, set.get());
  return set;
}

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};

}  // namespace

AffinityRules affinity_rules() noexcept { return {true, "sched_setaffinity", true, true}; }

Result<std::vector<int>> thread_cpus(ThreadId thread) {
  const CpuSet set = empty_set();
  if (set == nullptr) return failed("sched_getaffinity", ENOMEM);
  if (sched_getaffinity(static_cast<pid_t>(thread), kSetBytes, set.get()) != 0)
    return failed("sched_getaffinity", errno);
  std::vector<int> cpus;
  for (std::size_t cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, kSetBytes, set.get())) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

Status set_thread_cpus(std::span<const int> cpus, ThreadId thread) {
  const CpuSet set = empty_set();
  if (set == nullptr) return failed("sched_setaffinity", ENOMEM);
  for (const int cpu : cpus) {
    if (cpu >= 0 && static_cast<std::size_t>(cpu) < kMaxCpus)
      CPU_SET_S(static_cast<std::size_t>(cpu), kSetBytes, set.get());
  }
  if (sched_setaffinity(static_cast<pid_t>(thread), kSetBytes, set.get()) != 0)
    return failed("sched_setaffinity", errno);
  return Done{};
}

Result<std::vector<int>> usable_cpus() { return thread_cpus(0); }

Result<std::vector<ThreadId>> thread_ids() {
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(kTasks));
  if (folder == nullptr) return failed(kTasks, errno);
  std::vector<ThreadId> found;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    found.push_back(static_cast<ThreadId>(std::strtoul(entry->d_name, nullptr, 10)));
  }
  if (errno != 0) return failed(kTasks, errno);
  return found;
}

Status have_new_threads_follow(std::span<const int>) { return Done{}; }

}  // namespace numapool::platform
