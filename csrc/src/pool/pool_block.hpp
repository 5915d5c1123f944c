// The blocks of a pool, and the slabs that small blocks are cut from.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "numapool/buffer.hpp"

namespace numapool {

inline constexpr std::size_t kSlabBytes = std::size_t{2} << 20;  // a huge page where there are any
inline constexpr std::size_t kLargestSlabBlock = std::size_t{256} << 10;

struct Slab;

// Where a block is, whichever node was asked for. step: kPreferred if all of it is on one node,
// else kAny or kUnbound.
struct FiledPlace {
  std::int32_t node_id = -1;  // -1: unknown
  AllocationStep step = AllocationStep::kUnbound;
  bool bound = false;

  FiledPlace() = default;
  explicit FiledPlace(const BlockPlace& place) noexcept
      : node_id(place.node_id.value_or(-1)), step(place.step), bound(place.bound) {
    if (step == AllocationStep::kNearest) step = AllocationStep::kPreferred;
  }

  // Member by member: a copy of a whole place would wait until its parts were stored.
  void tell(int asked, BlockPlace& place) const noexcept {
    place.requested_node.emplace(asked);
    if (node_id >= 0) {
      place.node_id.emplace(node_id);
    } else {
      place.node_id.reset();
    }
    const bool elsewhere = step == AllocationStep::kPreferred && node_id != asked;
    place.step = elsewhere ? AllocationStep::kNearest : step;
    place.bound = bound;
  }
};

// One block, for its whole life. It is owned by a shard's list, by its lease, or by the thread that
// took it off a list. It has its own cache line, as neighbours are lent to different CPUs.
struct alignas(64) PoolBlock {
  PoolBlock* next = nullptr;       // in a list, below its top
  PoolBlock* next_list = nullptr;  // of a list's first: the next list of the fork's leavings
  char* address = nullptr;
  Slab* slab = nullptr;  // nothing: a mapping of its own (OwnBlock)
  FiledPlace place;
  std::uint32_t epoch = 0;       // of the pool when its place was last looked at
  std::uint32_t generation = 0;  // of the pool when it was made: forks since share its pages
  std::uint64_t filed_ms = 0;    // when it came back last; not of blocks at the top of a list
  std::uint16_t size_class = 0;
  std::uint16_t slot = 0;  // of the node it is counted under
  bool dirty = false;      // an owner may have written to it
  bool hollow = false;     // of a slab: its pages are with the system
  bool doomed = false;     // picked by the trim that runs
};

static_assert(sizeof(PoolBlock) == 64);

struct OwnBlock : PoolBlock {
  Mapping mapping;
};

// A mapping of one huge page cut into blocks of one class. Guarded by the pool's mutex.
struct Slab {
  Mapping mapping;
  std::unique_ptr<PoolBlock[]> blocks;
  std::uint32_t count = 0;
  std::uint32_t hollow = 0;        // blocks whose pages are with the system
  std::uint32_t free_now = 0;      // of the trim that runs: blocks found free
  std::uint64_t newest_ms = 0;     // of the trim that runs: the last of them that came back
  std::uint16_t slot = 0;          // of the node it is counted under
  std::atomic<bool> split{false};  // parts went back, and no huge page may be made of it again
};

}  // namespace numapool
