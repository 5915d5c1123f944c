// Lists off the fast path: between a list's top and the blocks below it, and several blocks at
// once.
#include "pool/pool_list.hpp"

#include <utility>

#include "platform/process.hpp"

namespace numapool {
namespace {

// A time by its low half, near another.
std::uint64_t whole_time(std::uint32_t low, std::uint64_t near_ms) noexcept {
  const auto later = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(near_ms));
  return near_ms + static_cast<std::uint64_t>(std::int64_t{later});
}

void ask_for_line(const void* line) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(line);
#else
  static_cast<void>(line);
#endif
}

}  // namespace

PoolBlock& ListTop::pop(std::uint64_t now_ms, std::uint64_t& when_ms) noexcept {
  PoolBlock& block = *newest.load(std::memory_order_relaxed);
  when_ms = whole_time(filed_ms[count.load(std::memory_order_relaxed) - 1], now_ms);
  drop_newest();
  return block;
}

FreeList::~FreeList() { delete top(); }

PoolBlock* FreeList::linked() const noexcept {
  const ListTop* const over = top();
  return over != nullptr ? over->rest.load() : reinterpret_cast<PoolBlock*>(word_.load());
}

void FreeList::set_linked(PoolBlock* first) noexcept {
  if (ListTop* const over = top()) {
    over->rest.store(first, std::memory_order_relaxed);
  } else {
    word_.store(reinterpret_cast<std::uintptr_t>(first), std::memory_order_relaxed);
  }
}

PoolBlock* FreeList::take_linked(std::uint32_t epoch) noexcept {
  PoolBlock* const block = linked();
  if (block == nullptr || block->epoch != epoch) return nullptr;
  set_linked(block->next);
  return block;
}

// In a full top it takes the newest's place: what was given back last is lent next.
void FreeList::push_linked(PoolBlock& block, std::uint64_t filed_ms) noexcept {
  PoolBlock* lower = &block;
  std::uint64_t lower_ms = filed_ms;
  if (ListTop* const over = top()) {
    lower = &over->pop(filed_ms, lower_ms);
    over->push(block, filed_ms);
  }
  lower->filed_ms = lower_ms;
  push_below(*lower);
}

PoolBlock* FreeList::pop() noexcept {
  ListTop* const over = top();
  if (over != nullptr && over->newest.load() != nullptr) {
    std::uint64_t filed_ms = 0;
    PoolBlock& block = over->pop(platform::coarse_ms(), filed_ms);
    block.filed_ms = filed_ms;
    return &block;
  }
  PoolBlock* const block = linked();
  if (block != nullptr) set_linked(block->next);
  return block;
}

// The lines of the top are read once and written once: they have to come from another CPU.
void FreeList::take_some(Handful& taken) noexcept {
  std::size_t many = 0;
  const auto add = [&](PoolBlock* block, std::uint64_t filed_ms) {
    taken.blocks[many] = block;
    taken.filed_ms[many++] = filed_ms;
  };
  if (ListTop* const over = top()) {
    const std::uint64_t now = platform::coarse_ms();
    std::uint32_t count = over->count.load(std::memory_order_relaxed);
    PoolBlock* block = over->newest.load(std::memory_order_relaxed);
    for (; count != 0 && many != Handful::kMost; --count) {
      add(block, whole_time(over->filed_ms[count - 1], now));
      block = over->before[count - 1];
    }
    over->newest.store(block, std::memory_order_relaxed);
    over->count.store(count, std::memory_order_relaxed);
  }
  if (PoolBlock* rest = linked()) {
    for (; rest != nullptr && many != Handful::kMost; rest = rest->next) add(rest, rest->filed_ms);
    set_linked(rest);
  }
  taken.count = many;
}

void FreeList::push_some(const Handful& taken) noexcept {
  ListTop* const over = top();
  std::uint32_t count = over != nullptr ? over->count.load(std::memory_order_relaxed) : 0;
  if (over == nullptr || count + taken.count > ListTop::kMost) {
    for (std::size_t i = taken.count; i-- > 0;) push(*taken.blocks[i], taken.filed_ms[i]);
    return;
  }
  PoolBlock* newest = over->newest.load(std::memory_order_relaxed);
  for (std::size_t i = taken.count; i-- > 0; ++count) {
    over->before[count] = newest;
    over->filed_ms[count] = static_cast<std::uint32_t>(taken.filed_ms[i]);
    newest = taken.blocks[i];
  }
  over->newest.store(newest, std::memory_order_relaxed);
  over->count.store(count, std::memory_order_relaxed);
}

PoolBlock* FreeList::take_all() noexcept {
  PoolBlock* first = nullptr;
  PoolBlock** end = &first;
  if (ListTop* const over = top()) {
    const std::uint64_t now = platform::coarse_ms();
    while (over->newest.load(std::memory_order_relaxed) != nullptr) {
      std::uint64_t filed_ms = 0;
      PoolBlock& block = over->pop(now, filed_ms);
      block.filed_ms = filed_ms;
      *end = &block;
      end = &block.next;
    }
  }
  *end = linked();
  set_linked(nullptr);
  return first;
}

void FreeList::push_below(PoolBlock& block) noexcept {
  block.next = linked();
  set_linked(&block);
}

void FreeList::push_all_below(PoolBlock& first) noexcept {
  PoolBlock* last = &first;
  while (last->next != nullptr) last = last->next;
  last->next = linked();
  set_linked(&first);
}

void FreeList::give_top(std::unique_ptr<ListTop>& made) noexcept {
  if (top() != nullptr) return;
  made->rest.store(linked(), std::memory_order_relaxed);
  const auto word = reinterpret_cast<std::uintptr_t>(made.release());
  word_.store(word | kHasTop, std::memory_order_release);
}

void FreeList::ask_for() const noexcept {
  const auto* const lines = reinterpret_cast<const char*>(top());
  if (lines == nullptr) return;
  for (std::size_t at = 0; at < sizeof(ListTop); at += 64) ask_for_line(lines + at);
}

}  // namespace numapool
