// Counts accesses to memory by node: the processor's own events, by perf_event_open(2).
#include "platform/node_loads.hpp"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/machine/counters.hpp"

namespace numapool::platform {
namespace {

// PERF_TYPE_HW_CACHE: the cache, the operation, and its result (perf_event_open(2)).
constexpr std::uint64_t node_reads(std::uint64_t result) noexcept {
  return std::uint64_t{PERF_COUNT_HW_CACHE_NODE} |
         (std::uint64_t{PERF_COUNT_HW_CACHE_OP_READ} << 8) | (result << 16);
}

// The descriptor, or -1 with errno. `beside` is the counter to run together with, or -1.
int open_counter(int thread, std::uint32_t type, std::uint64_t config, int beside) noexcept {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  // With kernel.perf_event_paranoid at 2, its default, only root may count more than this.
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, long{thread}, -1L, long{beside},
                                  long{PERF_FLAG_FD_CLOEXEC}));
}

// `node-loads` counts different things (arch/x86/events/intel/core.c): any node's memory up to Ivy
// Bridge (SNB_DRAM_ANY), and on AMD before Zen; the own node's memory from Haswell on, which
// brought AVX2 (HSW_L3_MISS_LOCAL_DRAM, SKL_L3_MISS_LOCAL_DRAM).
bool loads_are_local() noexcept {
#ifdef __x86_64__
  return __builtin_cpu_is("intel") != 0 && __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

Failure uncounted(int code, int thread) {
  // ENOENT, ENODEV: the processor, or what a hypervisor shows of it, has no such event.
  if (code == ENOENT || code == ENODEV || code == EOPNOTSUPP || code == ENOSYS)
    return Failure{Cause::kUnsupported, "perf_event_open", code, "node-loads"};
  return failed("perf_event_open", code, "thread " + std::to_string(thread));
}

}  // namespace

Result<NodeLoadCounters> count_pair(int thread, std::uint32_t type, std::uint64_t loads,
                                    std::uint64_t remote) {
  NodeLoadCounters out;
  out.loads = open_counter(thread, type, loads, -1);
  if (out.loads < 0) return uncounted(errno, thread);
  out.remote = open_counter(thread, type, remote, out.loads);
  if (out.remote < 0) {
    const int code = errno;
    close(out.loads);
    return uncounted(code, thread);
  }
  return out;
}

Result<NodeLoadCounters> count_node_loads(int thread) {
  auto counters =
      count_pair(thread, PERF_TYPE_HW_CACHE, node_reads(PERF_COUNT_HW_CACHE_RESULT_ACCESS),
                 node_reads(PERF_COUNT_HW_CACHE_RESULT_MISS));
  if (counters) counters.value().loads_are_local = loads_are_local();
  return counters;
}

}  // namespace numapool::platform
