// Per CPU a shard of shelves, each with the free lists of one node.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "platform/locks.hpp"
#include "pool/pool_list.hpp"
#include "pool/size_class.hpp"

namespace numapool {

inline constexpr std::uint64_t kLookEvery = 1000;  // ms between looks for moved pages

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
  std::array<FreeList, SizeClasses::kCount> lists;
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
