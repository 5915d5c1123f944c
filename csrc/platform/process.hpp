// What an operating system must provide about the process: a cheap clock, forks, and pages that
// move.
#pragma once

#include <cstdint>

namespace numapool::platform {

// A monotonic clock in milliseconds, coarse (a few milliseconds) but cheap, without a system call.
// It never wraps round.
[[nodiscard]] std::uint64_t coarse_ms() noexcept;

// How long before `now_ms` something happened; 0 if it happened after the clock was read, for
// example in another thread.
[[nodiscard]] constexpr std::uint64_t age_ms(std::uint64_t now_ms, std::uint64_t then_ms) noexcept {
  return now_ms > then_ms ? now_ms - then_ms : 0;
}

// Registers handlers for all later forks of this process, like pthread_atfork(3): before the fork
// in the parent, after it in the parent, after it in the child. Handlers registered later run
// earlier before a fork. False if this system has no forks, or there is no memory.
bool on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept;

// A counter that grows whenever the system may have moved pages of any process to another node by
// itself: by swapping in, demotion, migration. 0 if the system does not tell. Costs the read of a
// small file.
[[nodiscard]] std::uint64_t page_moves() noexcept;

}  // namespace numapool::platform
