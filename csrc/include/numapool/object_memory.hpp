// Memory that other code allocated: which pages it has, where they are, and moving them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// One dimension of an array: its length and stride (negative: backwards).
struct Dimension {
  std::uint64_t count = 0;
  std::int64_t stride_bytes = 0;
};

// The whole pages that an array touches, in any order, possibly with duplicates. `address` is that
// of its first element. Throws Error(kInvalidArgument) if the array does not fit into the address
// space.
[[nodiscard]] std::vector<platform::Span> pages_of(std::uintptr_t address, std::size_t item_bytes,
                                                   std::vector<Dimension> dimensions);

// The same pages, ascending and without duplicates.
[[nodiscard]] std::vector<platform::Span> merged(std::vector<platform::Span> spans);

// Where these pages are now; `spans` must come from merged(). `check` is called between chunks.
[[nodiscard]] Placement placement_of(const std::vector<platform::Span>& spans,
                                     const InterruptCheck& check);

// The result of moving pages, in bytes.
struct MoveOutcome {
  Placement before;
  Placement after;
  platform::MoveTally kept;
  std::uint64_t file_bytes = 0;  // pages of files: numapool does not move the page cache
};

// Moves those of these pages that belong to this process alone. Throws Error: kUnsupported if the
// system does not allow it, kSystem, kInterrupted (pages moved so far stay moved).
[[nodiscard]] MoveOutcome move_to(const std::vector<platform::Span>& spans, int node,
                                  const InterruptCheck& check);

}  // namespace numapool
