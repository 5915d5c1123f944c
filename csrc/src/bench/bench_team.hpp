// Threads that do the same thing at the same time, each on a CPU of its own, round after round.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "numapool/bench.hpp"

namespace numapool::bench {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline std::uint64_t ns_between(Clock::time_point begin, Clock::time_point end) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
}

// The work of one member of the team, on its thread. Neither function may throw.
struct Work {
  std::function<void(std::size_t member)> prepare;  // before the first round
  // Goes on until the clock says `end`.
  std::function<void(std::size_t member, std::uint32_t round, Clock::time_point end)> round;
};

// Runs all rounds and joins the threads; one for each CPU, or one that runs anywhere. Returns
// whether each stayed on its CPU. Throws Error(kSystem) if no thread can be started,
// Error(kSystem) or std::bad_alloc before any work was done.
[[nodiscard]] bool run_team(std::span<const int> cpus, const Plan& plan, const Work& work);

}  // namespace numapool::bench
