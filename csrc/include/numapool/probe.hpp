// What the system lets this process do with memory, tested on a scratch page.
//
// Each function maps its own memory, tries one operation on it, and unmaps it; nothing else is
// touched. They throw Error: kUnsupported if the system has no such call or refuses it, kSystem if
// it fails otherwise, kNoMemory if no page is available.
#pragma once

#include <cstddef>
#include <optional>

#include "platform/memory.hpp"

namespace numapool {

// Asks for a page on `node` and touches it. Returns the page's node; empty if that cannot be seen.
[[nodiscard]] std::optional<int> try_bind(platform::Policy policy, int node);

// Moves a page to `node`. Returns the page's node afterwards; empty if that cannot be seen.
[[nodiscard]] std::optional<int> try_move(int node);

// Asks where a page is, by this one source.
[[nodiscard]] int try_witness(platform::Method method);

// Locks a page into memory.
void try_lock();

// The largest page that a probe populates. A probe must never make the machine or a cgroup run out
// of memory, and a kernel with 64 KiB base pages has transparent huge pages of 512 MiB.
inline constexpr std::size_t kLargestProbe = std::size_t{4} << 20;

// Maps one page of this kind. With `touch`, also populates it and returns the size of the page that
// was mapped; else returns the size asked for. Also throws Error: kNoMemory before touching a page
// if there is too little memory, kInvalidArgument for a page above kLargestProbe with `touch`.
[[nodiscard]] std::size_t try_page(const platform::Pages& pages, bool touch);

}  // namespace numapool
