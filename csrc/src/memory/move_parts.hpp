// Moves memory part by part, by as many threads as help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// Moves the part with this number. Called by several threads at once.
using MovePart = std::function<platform::Status(std::size_t)>;

// Those who move memory to a node: up to four threads on its CPUs, or the calling thread where the
// node has one CPU or none.
class Movers {
 public:
  explicit Movers(int node);

  // How much is moved by one call, and between two checks for an interrupt: a multiple of 64 MiB.
  // For each call the kernel has every CPU put its lists of pages right.
  [[nodiscard]] std::size_t part_bytes(std::uint64_t length) const noexcept;

  // Moves the parts 0 to count - 1. Calls `check` before each part, or about every 50 ms while
  // threads move them, and throws what it throws. Returns the failure that ended it; parts that
  // were being moved then are moved to their end. The threads take a lock only to tell what came of
  // a part (LockRank::kPopulate), and have ended when this returns. A child that is forked
  // meanwhile has its copy of the pages wherever they are, and no part in the move.
  [[nodiscard]] std::optional<platform::Failure> move(std::size_t count, const MovePart& part,
                                                      const InterruptCheck& check) const;

 private:
  [[nodiscard]] std::size_t threads() const noexcept;

  std::vector<int> cpus_;  // of the node, whose memory is written
};

// A region whose pages were moved. Where that failed, nothing is said of where they are.
struct MovedRegion {
  std::optional<platform::Failure> failure;
  Placement before;
  Placement after;
};

// Moves the region's pages to `node` as far as they fit: as they are mapped, and one by one those
// of huge pages that are such in part only. Each part is looked at by the thread that moves it.
[[nodiscard]] MovedRegion move_in_parts(const Region& region, int node,
                                        const InterruptCheck& check);

}  // namespace numapool
