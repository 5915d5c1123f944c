// What the pool holds from the system, and what it may hold and retain.
#include <algorithm>
#include <chrono>

#include "pool_impl.hpp"

namespace numapool {
namespace {

// By default a pool holds an eighth more than its users ever had at once, and never less than this:
// enough for sizes that change, and no second heap.
constexpr std::uint64_t kLeastRetention = std::uint64_t{64} << 20;

constexpr std::chrono::milliseconds kWaitStep{10};  // between looks for signals

}  // namespace

// By how much `bytes` more would pass what the pool holds by default; mutex_ is held.
std::uint64_t PoolImpl::over_retention(std::uint64_t bytes) const noexcept {
  if (options_.retain_bytes) return 0;
  const std::uint64_t peak = peak_in_use_bytes_;
  const std::uint64_t limit = std::max(kLeastRetention, peak + peak / 8);
  const std::uint64_t held = held_bytes_ + bytes;
  return held > limit ? held - limit : 0;
}

// Room for `bytes` more under max_bytes, at the cost of what is retained. What would pass the
// default retention goes as well, or with `later` once the memory is there.
bool PoolImpl::reserve_budget(std::uint64_t bytes, std::uint16_t slot, bool later) {
  const std::uint64_t in_use = in_use_bytes();
  const std::uint64_t cap = options_.max_bytes.value_or(UINT64_MAX);
  std::unique_lock lock(mutex_);
  peak_in_use_bytes_ = std::max(peak_in_use_bytes_, in_use + bytes);
  std::uint64_t over = held_bytes_ + bytes > cap ? held_bytes_ + bytes - cap : 0;
  if (!later) over = std::max(over, over_retention(bytes));
  if (over != 0 || leavings_ != nullptr) {
    lock.unlock();
    trim(over, std::nullopt);
    lock.lock();
  }
  if (held_bytes_ + bytes > cap) return false;
  NodeBooks& books = books_[slot];
  held_bytes_ += bytes;
  books.held_bytes += bytes;
  pending_bytes_[slot] += bytes;
  high_water_bytes_ = std::max(high_water_bytes_, held_bytes_);
  return true;
}

void PoolImpl::release_budget(std::uint64_t bytes, std::uint16_t slot) noexcept {
  const std::lock_guard guard(mutex_);
  held_bytes_ -= bytes;
  books_[slot].held_bytes -= bytes;
  pending_bytes_[slot] -= bytes;
}

// The memory is there, on the node of `on`.
void PoolImpl::spend_budget(std::uint64_t bytes, std::uint16_t slot, std::uint16_t on) noexcept {
  std::uint64_t over = 0;
  {
    const std::lock_guard guard(mutex_);
    pending_bytes_[slot] -= bytes;
    books_[slot].held_bytes -= bytes;
    NodeBooks& books = books_[on];
    books.held_bytes += bytes;
    books.high_water_bytes = std::max(books.high_water_bytes, books.held_bytes);
    over = over_retention(0);
  }
  if (over != 0) trim(over, std::nullopt);
}

// Memory that is held was found on another node.
void PoolImpl::settle_budget(std::uint64_t bytes, std::uint16_t from, std::uint16_t to) noexcept {
  const std::lock_guard guard(mutex_);
  books_[from].held_bytes -= std::min(bytes, books_[from].held_bytes);
  books_[to].held_bytes += bytes;
  books_[to].high_water_bytes = std::max(books_[to].high_water_bytes, books_[to].held_bytes);
}

// Memory is back with the system.
void PoolImpl::give_up_held(std::uint64_t bytes, std::uint16_t slot, bool trimmed) noexcept {
  const std::lock_guard guard(mutex_);
  held_bytes_ -= std::min(bytes, held_bytes_);
  NodeBooks& books = books_[slot];
  books.held_bytes -= std::min(bytes, books.held_bytes);
  if (trimmed) books.trimmed_bytes += bytes;
  books.full_for_bytes = 0;
  if (waiters_.load(std::memory_order_relaxed) != 0) room_.notify_all();
}

// Until a block comes back or a moment has passed: a waker may miss a waiter that has just begun.
void PoolImpl::wait_for_room(const InterruptCheck& check) {
  waiters_.fetch_add(1);
  {
    std::unique_lock lock(mutex_);
    room_.wait_for(lock, kWaitStep);
  }
  waiters_.fetch_sub(1);
  check();
}

void PoolImpl::settle_retained() noexcept {
  const std::int64_t retained = sum(&Shelf::retained_bytes);
  const auto limit = static_cast<std::int64_t>(*options_.retain_bytes);
  if (retained > limit) trim(static_cast<std::uint64_t>(retained - limit), std::nullopt);
}

}  // namespace numapool
