// The free blocks of one class on one shelf, last in, first out.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "pool/pool_block.hpp"

namespace numapool {

// Some blocks of a list, side by side. A block that is filed here is not written to: its own line
// stays in the cache of every CPU that has read it, and only these four go from CPU to CPU.
struct alignas(64) ListTop {
  static constexpr std::uint32_t kMost = 19;

  std::atomic<PoolBlock*> newest{nullptr};  // by itself, so that who takes it need not count first
  std::atomic<std::uint32_t> count{0};
  // The low half of when each came back: enough for 24 days. The idle thread, which is who acts on
  // times, looks at every block at least every 13 days.
  std::array<std::uint32_t, kMost> filed_ms{};
  std::atomic<PoolBlock*> rest{nullptr};  // the list's other blocks, linked
  // At i the block before number i, so that the first has none before it.
  std::array<PoolBlock*, kMost> before{};

  void push(PoolBlock& block, std::uint64_t when_ms) noexcept {
    const std::uint32_t many = count.load(std::memory_order_relaxed);
    before[many] = newest.load(std::memory_order_relaxed);
    filed_ms[many] = static_cast<std::uint32_t>(when_ms);
    newest.store(&block, std::memory_order_relaxed);
    count.store(many + 1, std::memory_order_relaxed);
  }
  // There is one.
  void drop_newest() noexcept {
    const std::uint32_t many = count.load(std::memory_order_relaxed) - 1;
    newest.store(before[many], std::memory_order_relaxed);
    count.store(many, std::memory_order_relaxed);
  }
  // The same. Near `now_ms` the half of its time is the whole.
  PoolBlock& pop(std::uint64_t now_ms, std::uint64_t& when_ms) noexcept;
};

static_assert(sizeof(ListTop) == 256);

// Blocks that are taken off a list together, the newest first.
struct Handful {
  static constexpr std::size_t kMost = 16;  // whoever else needs the list waits for so long at most

  std::size_t count = 0;
  std::array<PoolBlock*, kMost> blocks;
  std::array<std::uint64_t, kMost> filed_ms;
};

// Until a list is given a top, all of its blocks are linked by PoolBlock::next. One word says
// which: a shelf has hundreds of lists. Everything but empty() and ask_for() needs the shard's
// lock.
class FreeList {
 public:
  FreeList() = default;
  ~FreeList();
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;

  [[nodiscard]] bool empty() const noexcept {
    const std::uintptr_t word = word_.load(std::memory_order_acquire);
    if ((word & kHasTop) == 0) return word == 0;
    const ListTop& top = *top_of(word);
    return top.newest.load(std::memory_order_relaxed) == nullptr &&
           top.rest.load(std::memory_order_relaxed) == nullptr;
  }

  // Takes off the newest block if its place was looked at in that epoch. When the block came back
  // is forgotten.
  [[nodiscard]] PoolBlock* take(std::uint32_t epoch) noexcept {
    ListTop* const over = top();
    if (over == nullptr) return take_linked(epoch);
    PoolBlock* const block = over->newest.load(std::memory_order_relaxed);
    if (block == nullptr) return take_linked(epoch);
    if (block->epoch != epoch) return nullptr;
    over->drop_newest();
    return block;
  }

  void push(PoolBlock& block, std::uint64_t filed_ms) noexcept {
    ListTop* const over = top();
    if (over == nullptr || over->count.load(std::memory_order_relaxed) == ListTop::kMost) {
      push_linked(block, filed_ms);
    } else {
      over->push(block, filed_ms);
    }
  }

  // Takes off the newest block, which then says when it came back; nullptr if the list is empty.
  [[nodiscard]] PoolBlock* pop() noexcept;
  void take_some(Handful& taken) noexcept;
  void push_some(const Handful& taken) noexcept;
  // All blocks, linked, the newest first. Each says when it came back.
  [[nodiscard]] PoolBlock* take_all() noexcept;
  // Puts a block, or several that are linked, below those at the top: they were taken off, newer
  // ones may have come since, and they say when they came back.
  void push_below(PoolBlock& block) noexcept;
  void push_all_below(PoolBlock& first) noexcept;

  // nullptr: it has none yet. Anyone may ask.
  [[nodiscard]] ListTop* top() const noexcept {
    const std::uintptr_t word = word_.load(std::memory_order_acquire);
    return (word & kHasTop) != 0 ? top_of(word) : nullptr;
  }
  // Leaves it to the caller if there is one already.
  void give_top(std::unique_ptr<ListTop>& made) noexcept;

  // Asks the processor for the lines that take_some() reads: it waits for all of them at once.
  void ask_for() const noexcept;

 private:
  static constexpr std::uintptr_t kHasTop = 1;  // in a word that is the address of a top

  static ListTop* top_of(std::uintptr_t word) noexcept {
    return reinterpret_cast<ListTop*>(word & ~kHasTop);
  }
  // Where there is no top, or it is empty or full.
  [[nodiscard]] PoolBlock* take_linked(std::uint32_t epoch) noexcept;
  void push_linked(PoolBlock& block, std::uint64_t filed_ms) noexcept;
  [[nodiscard]] PoolBlock* linked() const noexcept;
  void set_linked(PoolBlock* first) noexcept;

  std::atomic<std::uintptr_t> word_{0};
};

}  // namespace numapool
