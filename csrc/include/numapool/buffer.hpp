// A block of memory: a mapping of our own and what is known of its place.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "numapool/placement.hpp"
#include "platform/memory.hpp"

namespace numapool {

// Called between chunks of long work, without any lock; throws Error(kInterrupted) to stop it.
using InterruptCheck = std::function<void()>;

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

 private:
  void* address_ = nullptr;
  std::size_t length_ = 0;
  platform::Pages pages_;
};

// What is known of where a block is, as of the call that placed or moved it.
struct BlockPlace {
  std::optional<int> requested_node;  // nothing for interleaved memory
  std::optional<int> node_id;         // nothing where unknown, or spread by design
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
};

// Page-locks the block; `resident` false locks each page as it is first touched. Throws
// Error(kSystem).
void lock_block(Block& block, bool resident);

// Where the pages of the mapping are now: always read, never remembered. Exact.
[[nodiscard]] Placement placement_of(const Mapping& mapping);

// Moves the mapping's pages to `node` as far as they fit, keeping every byte. Returns what came of
// it; the mapping's owner keeps it alive meanwhile and may use its contents. Throws Error:
// kUnsupported where neither move_pages nor mbind is allowed, kSystem, kInterrupted (the pages
// moved so far stay moved).
struct Migration {
  Placement placement;
  BlockPlace place;
};
[[nodiscard]] Migration migrate(const Mapping& mapping, int node, const InterruptCheck& check);

}  // namespace numapool
