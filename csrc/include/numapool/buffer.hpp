// A block of memory: a mapping of our own and what is known of its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// Called between chunks of long work, without any lock; throws Error(kInterrupted) to stop it.
using InterruptCheck = std::function<void()>;

// A range of memory that somebody else owns. `pages` is what it may be asked about by.
struct Region {
  void* address = nullptr;
  std::size_t length = 0;
  platform::Pages pages;
};

// Owns one mapping and unmaps it. Not thread-safe; movable; an empty Mapping has address() ==
// nullptr.
class Mapping {
 public:
  Mapping() = default;
  // Maps `length` bytes, a multiple of the base page (of the huge page for hugetlb). Throws
  // Error(kNoMemory).
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

// What is known of where a block is, as of the call that placed or moved it.
struct BlockPlace {
  // Of several nodes that were asked for: the one that has the memory, or most of it; where none of
  // them has, the nearest. Nothing for interleaved memory.
  std::optional<int> requested_node;
  std::optional<int> node_id;  // nothing where unknown, or spread by design
  AllocationStep step = AllocationStep::kUnbound;
  bool bound = false;  // the system accepted a policy for it
};

// What NodeBuffer hands to Python. The owner guards it: nothing here is safe to change from two
// threads.
struct Block {
  Mapping mapping;
  std::size_t size_bytes = 0;  // as asked; the mapping is rounded up to whole pages
  BlockPlace place;
  bool locked = false;
  struct Counted {
    std::uint64_t bytes = 0;
    std::uint16_t slot = 0;
  };
  Counted counted;  // by the pool that gave it (Pool::take_fixed), for when it comes back
};

// Page-locks the block; `resident` false locks each page as it is first touched. Throws
// Error(kSystem).
void lock_block(Block& block, bool resident);

// Who takes memory back once its last user has let go: a pool, a ring.
class Keeper {
 public:
  // Takes back what was lent under `cookie`; `moved`: its pages were migrated meanwhile. From any
  // thread. Quick; true: call tidy() once, holding no lock of the caller's.
  [[nodiscard]] virtual bool give_back(void* cookie, bool moved) noexcept = 0;
  virtual void tidy() noexcept = 0;
  // What was lent under `cookie` was just migrated, and perhaps what shares a huge page with it.
  virtual void moved(void*) noexcept {}

 protected:
  ~Keeper() = default;
};

// What a Keeper lends: a region, where it is, and whether an owner before has written to it.
struct Lease {
  Region region;
  BlockPlace place;
  Keeper* keeper = nullptr;
  void* cookie = nullptr;
  bool dirty = false;
};

// Where the pages of the region are now: always read, never remembered. Exact.
[[nodiscard]] Placement placement_of(const Region& region);

// Moves the region's pages to `node` as far as they fit, keeping every byte. Returns what came of
// it; the region's owner keeps it alive meanwhile and may use its contents. Throws Error:
// kUnsupported where neither move_pages nor mbind is allowed, kSystem, kInterrupted (the pages
// moved so far stay moved).
struct Migration {
  Placement before;
  Placement placement;
  BlockPlace place;
};
[[nodiscard]] Migration migrate(const Region& region, int node, const InterruptCheck& check);

}  // namespace numapool
