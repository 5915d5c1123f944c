// A summary of which shards may hold free blocks of a node, to shorten searches.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace numapool {

// A bit for each shard and node, so that a miss or a trim on a machine of thousands of CPUs looks
// at a few words. A bit is set and cleared under its shard's lock. One that is set may be stale.
class Holders {
 public:
  Holders() = default;
  Holders(std::size_t slots, std::size_t shards)
      : words_((shards + kBits - 1) / kBits), bits_(slots * words_) {}

  void set(std::size_t slot, std::size_t shard) noexcept {
    word(slot, shard / kBits).fetch_or(std::uint64_t{1} << (shard % kBits));
  }
  void reset(std::size_t slot, std::size_t shard) noexcept {
    word(slot, shard / kBits).fetch_and(~(std::uint64_t{1} << (shard % kBits)));
  }
  // The first shard from `from` on; kNone if there is none.
  static constexpr std::size_t kNone = ~std::size_t{0};
  [[nodiscard]] std::size_t next(std::size_t slot, std::size_t from) const noexcept {
    std::uint64_t mask = ~std::uint64_t{0} << (from % kBits);
    for (std::size_t i = from / kBits; i < words_; ++i, mask = ~std::uint64_t{0}) {
      const std::uint64_t bits = bits_[slot * words_ + i].load() & mask;
      if (bits != 0) return i * kBits + static_cast<std::size_t>(std::countr_zero(bits));
    }
    return kNone;
  }

 private:
  static constexpr std::size_t kBits = 64;
  std::atomic<std::uint64_t>& word(std::size_t slot, std::size_t index) noexcept {
    return bits_[slot * words_ + index];
  }
  std::size_t words_ = 0;
  std::vector<std::atomic<std::uint64_t>> bits_;  // by slot, then by shard
};

}  // namespace numapool
