// Where threads run and what memory policy they have: getcpu, sched_setaffinity, set_mempolicy.
#include "platform/thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/node_mask.hpp"
#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

Status set_raw(int mode, std::span<const int> nodes) {
  const long result =
      nodes.empty() ? kernel::set_mempolicy(mode) : kernel::set_mempolicy(mode, NodeMask(nodes));
  if (result != 0) return failed("set_mempolicy", errno, "mode " + std::to_string(mode));
  return Done{};
}

ThreadMode mode_of(int raw_mode) noexcept {
  switch (raw_mode & ~kernel::kModeFlags) {
    case MPOL_DEFAULT:
      return ThreadMode::kDefault;
    case MPOL_PREFERRED:
      return ThreadMode::kPreferred;
    case MPOL_BIND:
      return ThreadMode::kBind;
    case MPOL_INTERLEAVE:
      return ThreadMode::kInterleave;
    case MPOL_LOCAL:
      return ThreadMode::kLocal;
    case kernel::kPreferredMany:
      return ThreadMode::kPreferredMany;
    case kernel::kWeightedInterleave:
      return ThreadMode::kWeightedInterleave;
    default:
      return ThreadMode::kOther;
  }
}

}  // namespace

int current_node() noexcept {
  unsigned cpu = 0;
  unsigned node = 0;
#ifdef __GLIBC__
  if (getcpu(&cpu, &node) != 0) return -1;
#else
  // musl has no function for it, so the vDSO is not asked.
  if (syscall(SYS_getcpu, &cpu, &node, nullptr) != 0) return -1;
#endif
  return static_cast<int>(node);
}

// glibc 2.35 answers from memory that the kernel keeps current (rseq), before that from the vDSO.
int current_cpu() noexcept { return sched_getcpu(); }

NoSignals::NoSignals() noexcept {
  static_assert(sizeof saved_ >= sizeof(sigset_t) && alignof(sigset_t) <= alignof(unsigned long));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // Signals that a thread causes itself reach its handler, which reports them: faults, traps,
  // seccomp(2).
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigdelset(&all, own);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::memcpy(saved_.data(), &before, sizeof before);
}

NoSignals::~NoSignals() {
  sigset_t before;
  std::memcpy(&before, saved_.data(), sizeof before);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool prepare_worker(std::span<const int> cpus) noexcept {
  if (cpus.empty()) return true;
  cpu_set_t* const set = CPU_ALLOC(kMaxCpus);
  if (set == nullptr) return false;
  const std::size_t bytes = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(bytes, set);
  for (const int cpu : cpus) {
    if (cpu >= 0 && static_cast<std::size_t>(cpu) < kMaxCpus)
      CPU_SET_S(static_cast<std::size_t>(cpu), bytes, set);
  }
  const bool done = sched_setaffinity(0, bytes, set) == 0;
  CPU_FREE(set);
  return done;
}

Result<ThreadPolicy> thread_policy() {
  NodeMask mask;
  int mode = kUnanswered;
  if (kernel::get_mempolicy(mode, &mask) != 0) return failed("get_mempolicy", errno);
  if (mode == kUnanswered) return failed("get_mempolicy", ENOSYS, "it answers without doing it");
  return ThreadPolicy{mode_of(mode), mode, mask.nodes()};
}

Status set_thread_policy(ThreadMode mode, std::span<const int> nodes) {
  switch (mode) {
    case ThreadMode::kPreferred:
      return set_raw(MPOL_PREFERRED, nodes);
    case ThreadMode::kBind:
      return set_raw(MPOL_BIND, nodes);
    case ThreadMode::kInterleave:
      return set_raw(MPOL_INTERLEAVE, nodes);
    case ThreadMode::kLocal:
      return set_raw(MPOL_LOCAL, {});
    case ThreadMode::kPreferredMany:
      return set_raw(kernel::kPreferredMany, nodes);
    case ThreadMode::kWeightedInterleave:
      return set_raw(kernel::kWeightedInterleave, nodes);
    case ThreadMode::kDefault:
    case ThreadMode::kOther:
      return set_raw(MPOL_DEFAULT, {});
  }
  return failed("set_mempolicy", EINVAL);
}

Status restore_thread_policy(const ThreadPolicy& policy) {
  // A thread that was never told anything reports MPOL_DEFAULT, which takes no nodes.
  if (policy.mode == ThreadMode::kDefault || policy.mode == ThreadMode::kLocal) {
    return set_raw(policy.raw_mode, {});
  }
  return set_raw(policy.raw_mode, policy.nodes);
}

}  // namespace numapool::platform
