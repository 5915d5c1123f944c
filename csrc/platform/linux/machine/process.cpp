// The process: the coarse clock, pthread_atfork, and the kernel's counters of moved pages.
#include "platform/process.hpp"

#include <pthread.h>
#include <time.h>

#include <array>

#include "platform/linux/files/kept_file.hpp"
#include "platform/locks.hpp"

namespace numapool::platform {
namespace {

// /proc/vmstat: pages that came back from swap, that were moved between nodes, that were demoted to
// a slower tier. pgmigrate_success counts compaction as well, which moves within a node: a look too
// many.
constexpr std::array<const char*, 5> kMoves{"pswpin ", "pgmigrate_success ", "pgdemote_kswapd ",
                                            "pgdemote_direct ", "pgdemote_khugepaged "};

// The file is the machine's, the same before and after a fork.
struct Counters {
  Mutex mutex{LockRank::kPageMoves};
  KeptFile vmstat{"/proc/vmstat"};
};

Counters& counters = *new Counters;

}  // namespace

std::uint64_t coarse_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

bool on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  return pthread_atfork(before, in_parent, in_child) == 0;
}

std::uint64_t page_moves() noexcept {
  const std::lock_guard guard(counters.mutex);
  const auto text = counters.vmstat.read();
  std::uint64_t sum = 0;
  if (!text) return sum;
  for (const char* const key : kMoves) sum += number_after(*text, key).value_or(0);
  return sum;
}

}  // namespace numapool::platform
