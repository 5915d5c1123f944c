// What an operating system must provide about the process: a cheap clock, forks, and pages on the
// move.
#pragma once

#include <cstdint>

namespace numapool::platform {

// A monotonic clock in milliseconds that is cheap rather than fine (a few milliseconds), without a
// system call. It never wraps round.
[[nodiscard]] std::uint64_t coarse_ms() noexcept;

// How long before `now_ms` something happened; 0 where it happened after the clock was read, as
// another thread's doing may.
[[nodiscard]] constexpr std::uint64_t age_ms(std::uint64_t now_ms, std::uint64_t then_ms) noexcept {
  return now_ms > then_ms ? now_ms - then_ms : 0;
}

// Registers handlers for every fork of this process from now on, as pthread_atfork(3) does: before
// it in the parent, after it in the parent, after it in the child. False where there is nothing
// that forks, or no memory. Handlers registered later run earlier before a fork.
bool on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept;

// A count that grows whenever the system may have moved pages of some process to another node by
// itself: swapping in, demotion, migration. 0 where it cannot tell. Costs a read of a small file.
[[nodiscard]] std::uint64_t page_moves() noexcept;

}  // namespace numapool::platform
