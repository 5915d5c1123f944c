// The pools' blocks that are lent as plain pointers, by address, which is all that free() gets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "numapool/buffer.hpp"
#include "pool/pool_parts.hpp"

namespace numapool {

// One table for the process, in parts with a lock each, so that threads seldom meet.
// Nothing is called while a lock is held.
class LentBlocks {
 public:
  struct Entry {
    Lease lease;
    std::size_t bytes = 0;  // as asked for
  };

  // False where there is no memory for the entry.
  [[nodiscard]] bool add(const Lease& lease, std::size_t bytes) noexcept;
  // Empty if the pointer is not a block's.
  [[nodiscard]] std::optional<Entry> take(const void* address) noexcept;
  [[nodiscard]] std::optional<Entry> find(const void* address) noexcept;
  void resize(const void* address, std::size_t bytes) noexcept;

 private:
  // Open addressing, at most half full: a free slot ends a search. A block's address is its key.
  struct alignas(64) Part {
    platform::SpinLock lock{platform::LockRank::kLentBlocks};
    std::size_t count = 0;
    std::vector<Entry> slots;  // a power of two of them, or none

    [[nodiscard]] std::size_t home(const void* address) const noexcept;
    [[nodiscard]] Entry* find(const void* address) noexcept;
    void put(const Entry& entry) noexcept;  // where there is room
    void grow();
    void erase(Entry* entry) noexcept;
  };
  static constexpr std::size_t kParts = 64;

  // Blocks begin at a page: the low bits tell nothing. A pointer within one is no block's.
  [[nodiscard]] static bool may_be_block(const void* address) noexcept;
  [[nodiscard]] Part& part_of(const void* address) noexcept;

  Part parts_[kParts];
};

// Never destroyed: arrays may outlive everything else.
[[nodiscard]] LentBlocks& lent_blocks();

}  // namespace numapool
