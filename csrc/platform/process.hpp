// What an operating system must provide about the process: a cheap clock, forks, and pages on the
// move.
#pragma once

#include <cstdint>

namespace numapool::platform {

// A monotonic clock in milliseconds that is cheap rather than fine (a few milliseconds), without a
// system call. It wraps round after 49 days: compare differences only.
[[nodiscard]] std::uint32_t coarse_ms() noexcept;

// Registers handlers for every fork of this process from now on, as pthread_atfork(3) does: before
// it in the parent, after it in the parent, after it in the child. False where there is nothing
// that forks, or no memory. Handlers registered later run earlier before a fork.
bool on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept;

// A count that grows whenever the system may have moved pages of some process to another node by
// itself: swapping in, demotion, migration. 0 where it cannot tell. Costs a read of a small file.
[[nodiscard]] std::uint64_t page_moves() noexcept;

}  // namespace numapool::platform
