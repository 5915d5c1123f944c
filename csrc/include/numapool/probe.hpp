// What the system lets this process do with memory, found by doing it to a scratch page.
//
// Every function maps memory of its own, tries one thing on it and gives it back; nothing else is
// touched. They throw Error: kUnsupported where the system has no such call or refuses it, kSystem
// where it fails otherwise, kNoMemory where there is not a page to be had.
#pragma once

#include <cstddef>
#include <optional>

#include "platform/memory.hpp"

namespace numapool {

// Asks that a page come from `node`, and touches it. Returns the node that it is on; nothing where
// that cannot be seen.
[[nodiscard]] std::optional<int> try_bind(platform::Policy policy, int node);

// Moves a page to `node`. Returns the node that it is on then; nothing where that cannot be seen.
[[nodiscard]] std::optional<int> try_move(int node);

// Asks this one witness where a page is.
[[nodiscard]] int try_witness(platform::Method method);

// Locks a page.
void try_lock();

// The largest page that is populated to see whether it comes: a probe must never be what the
// machine or a cgroup runs out of memory for. The transparent huge page of a kernel with 64 KiB
// pages is 512 MiB.
inline constexpr std::size_t kLargestProbe = std::size_t{4} << 20;

// Maps one page of this kind; with `touch` also populates it and returns the size of the page that
// came, else the size asked for. Throws Error also: kNoMemory before a page is touched where there
// is no room, kInvalidArgument for a page above kLargestProbe that is to be touched.
[[nodiscard]] std::size_t try_page(const platform::Pages& pages, bool touch);

}  // namespace numapool
