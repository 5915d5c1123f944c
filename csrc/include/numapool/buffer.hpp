// A block of memory: our own mapping, and what is known about its placement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// Called between chunks of long work, with no lock held. Throws Error(kInterrupted) to stop it.
using InterruptCheck = std::function<void()>;

// A memory range that somebody else owns. `pages` is the page size to query it by.
struct Region {
  void* address = nullptr;
  std::size_t length = 0;
  platform::Pages pages;
};

// Owns one mapping and unmaps it. Movable, not thread-safe. An empty Mapping has address() ==
// nullptr.
class Mapping {
 public:
  Mapping() = default;
  // Maps `length` bytes, a multiple of the base page size (for hugetlb, of the huge page size).
  // Throws Error(kNoMemory).
  Mapping(std::size_t length, const platform::Pages& pages);
  ~Mapping() { reset(); }
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void reset() noexcept;
  [[nodiscard]] void* address() const noexcept { return address_; }
  [[nodiscard]] std::size_t length() const noexcept { return length_; }
  [[nodiscard]] const platform::Pages& pages() const noexcept { return pages_; }
  [[nodiscard]] Region region() const noexcept { return {address_, length_, pages_}; }

 private:
  void* address_ = nullptr;
  std::size_t length_ = 0;
  platform::Pages pages_;
};

// What was known about a block's placement when it was placed or last moved.
struct BlockPlace {
  // If several nodes were asked for: the one with most of the memory, or the nearest if none of
  // them has any. Empty for interleaved memory.
  std::optional<int> requested_node;
  std::optional<int> node_id;  // empty if unknown, or spread by design
  AllocationStep step = AllocationStep::kUnbound;
  bool bound = false;  // the system accepted a policy for the block
};

// What NodeBuffer gives to Python. Not thread-safe: the owner must guard it.
struct Block {
  Mapping mapping;
  std::size_t size_bytes = 0;  // as requested; the mapping is rounded up to whole pages
  BlockPlace place;
  bool locked = false;
  struct Counted {
    std::uint64_t bytes = 0;
    std::uint16_t slot = 0;
  };
  Counted counted;  // set by the pool that lent it (Pool::take_fixed), needed to give it back
};

// Locks the block's pages into memory. With `resident` false, each page is locked when it is first
// touched. Throws Error(kSystem).
void lock_block(Block& block, bool resident);

// Takes memory back when its last user is done: a pool, or a ring.
class Keeper {
 public:
  // Takes back what was lent under `cookie`; `moved`: its pages were migrated meanwhile. Callable
  // from any thread, and quick. If it returns true, call tidy() once while holding no lock.
  [[nodiscard]] virtual bool give_back(void* cookie, bool moved) noexcept = 0;
  virtual void tidy() noexcept = 0;
  // Reports that the memory lent under `cookie` was migrated, perhaps with neighbours that share a
  // huge page with it.
  virtual void moved(void*) noexcept {}

 protected:
  ~Keeper() = default;
};

// What a Keeper lends: a region, its placement, and whether an earlier owner has written to it.
struct Lease {
  Region region;
  BlockPlace place;
  Keeper* keeper = nullptr;
  void* cookie = nullptr;
  bool dirty = false;
};

// Where the region's pages are now. Always read from the system, never cached; exact.
[[nodiscard]] Placement placement_of(const Region& region);

// Moves as many of the region's pages to `node` as fit, and keeps every byte. Returns what was
// moved. The region's owner must keep it alive meanwhile, and may use its contents. Throws Error:
// kUnsupported if neither move_pages nor mbind is allowed, kSystem, kInterrupted (pages moved so
// far stay moved).
struct Migration {
  Placement before;
  Placement placement;
  BlockPlace place;
};
[[nodiscard]] Migration migrate(const Region& region, int node, const InterruptCheck& check);

}  // namespace numapool
