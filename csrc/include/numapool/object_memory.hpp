// Pages of memory that somebody else allocated: which they are, where they are, and moving them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// One dimension of an array: how many elements, how far apart (negative: backwards).
struct Dimension {
  std::uint64_t count = 0;
  std::int64_t stride_bytes = 0;
};

// The whole pages that an array touches, in any order, perhaps more than once. `address` is its
// first element's. Throws Error(kInvalidArgument) for what fits no address space.
[[nodiscard]] std::vector<platform::Span> pages_of(std::uintptr_t address, std::size_t item_bytes,
                                                   std::vector<Dimension> dimensions);

// The same pages ascending, each once.
[[nodiscard]] std::vector<platform::Span> merged(std::vector<platform::Span> spans);

// Where these pages are now; spans as merged() gives them. `check` is called between chunks.
[[nodiscard]] Placement placement_of(const std::vector<platform::Span>& spans,
                                     const InterruptCheck& check);

// What a move of pages came to, in bytes.
struct MoveOutcome {
  Placement before;
  Placement after;
  platform::MoveTally kept;
  std::uint64_t file_bytes = 0;  // of files: the page cache is not ours to move
};

// Moves what is this process's own of these pages. Throws Error: kUnsupported where the system
// does not let us, kSystem, kInterrupted (what has moved stays moved).
[[nodiscard]] MoveOutcome move_to(const std::vector<platform::Span>& spans, int node,
                                  const InterruptCheck& check);

}  // namespace numapool
