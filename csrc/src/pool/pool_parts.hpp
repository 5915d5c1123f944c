// The parts of a pool: blocks, the slabs that small blocks are cut from, and per CPU a shard of
// shelves, each with the free lists of one node.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "numapool/buffer.hpp"
#include "platform/locks.hpp"
#include "pool/size_class.hpp"

namespace numapool {

inline constexpr std::size_t kSlabBytes = std::size_t{2} << 20;  // a huge page where there are any
inline constexpr std::uint64_t kLookEvery = 1000;                // ms between looks for moved pages
inline constexpr std::size_t kLargestSlabBlock = std::size_t{256} << 10;

// Written under a shard's lock, read by anyone: a plain addition to the processor.
class Tally {
 public:
  void add(std::int64_t change) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

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
  PoolBlock* next = nullptr;       // in a list
  PoolBlock* next_list = nullptr;  // of a list's first: the next list of the fork's leavings
  char* address = nullptr;
  Slab* slab = nullptr;  // nothing: a mapping of its own (OwnBlock)
  FiledPlace place;
  std::uint32_t epoch = 0;       // of the pool when its place was last looked at
  std::uint32_t generation = 0;  // of the pool when it was made: forks since share its pages
  std::uint64_t filed_ms = 0;    // when it came back last
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

// Of each size class a bit. Written under a shard's lock, read by anyone.
class ClassBits {
 public:
  ClassBits() = default;
  ~ClassBits() = default;
  ClassBits(const ClassBits& other) noexcept { add(other); }
  ClassBits& operator=(const ClassBits&) = delete;
  [[nodiscard]] bool test(std::size_t size_class) const noexcept {
    return (words_[size_class / 64].load(std::memory_order_relaxed) & bit(size_class)) != 0;
  }
  void set(std::size_t size_class) noexcept { change(size_class, bit(size_class), 0); }
  void reset(std::size_t size_class) noexcept { change(size_class, 0, bit(size_class)); }
  void add(const ClassBits& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const std::uint64_t both = words_[i].load(std::memory_order_relaxed) |
                                 other.words_[i].load(std::memory_order_relaxed);
      words_[i].store(both, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] bool none() const noexcept {
    for (const auto& word : words_) {
      if (word.load(std::memory_order_relaxed) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint64_t bit(std::size_t size_class) noexcept {
    return std::uint64_t{1} << (size_class % 64);
  }
  void change(std::size_t size_class, std::uint64_t on, std::uint64_t off) noexcept {
    std::atomic<std::uint64_t>& word = words_[size_class / 64];
    word.store((word.load(std::memory_order_relaxed) | on) & ~off, std::memory_order_relaxed);
  }
  std::array<std::atomic<std::uint64_t>, (SizeClasses::kCount + 63) / 64> words_{};
};

// The free blocks of one node on one CPU, and its counters.
struct alignas(128) Shelf {
  Tally in_use_bytes;
  Tally retained_bytes;
  Tally hits;
  Tally larger_hits;  // of these, by a block of a larger class
  Tally misses;
  Tally spills;
  Shelf* next = nullptr;   // of all that the pool has
  ClassBits may_hold;      // classes of which a block was filed here, and not seen to be gone
  std::uint16_t slot = 0;  // of its node
  std::array<std::atomic<PoolBlock*>, SizeClasses::kCount> heads{};  // last in, first out
};

// A thread takes one shard's lock at a time.
struct alignas(128) Shard {
  platform::SpinLock lock{platform::LockRank::kShard};
  Tally live;                    // leases given out less those taken back, on this CPU
  std::int64_t drift_bytes = 0;  // retained here since it was last told to the pool
  // By slot; each is made when it is first needed, and stays as long as the pool.
  std::unique_ptr<std::atomic<Shelf*>[]> shelves;
  Shard* next = nullptr;  // of all that the pool has
  std::size_t index = 0;  // among all that there may be
};

}  // namespace numapool
