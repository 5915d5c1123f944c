// The memory that the pool holds from the system, and the limits on holding and retaining it.
#include <algorithm>
#include <chrono>

#include "numapool/size_text.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
namespace {

// By default a pool holds an eighth more than its users ever had at once, and never less than this:
// enough for sizes that change, and no second heap.
constexpr std::uint64_t kLeastRetention = std::uint64_t{64} << 20;

constexpr std::chrono::milliseconds kWaitStep{10};  // between looks for signals

}  // namespace

// By how much the pool would hold more than its default, were it to hold `held` bytes and to have
// had `peak` in use at once.
std::uint64_t PoolImpl::over_retention(std::uint64_t held, std::uint64_t peak) const noexcept {
  if (options_.retain_bytes) return 0;
  const std::uint64_t limit = std::max(kLeastRetention, peak + peak / 8);
  return held > limit ? held - limit : 0;
}

// What the default retention counts as used: reserved blocks are meant to stay.
std::uint64_t PoolImpl::used_bytes(bool reserves) const noexcept {
  std::int64_t bytes = sum(&Shelf::in_use_bytes);
  if (reserves) bytes += sum(&Shelf::retained_bytes);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes));
}

// Makes room for `bytes` more under max_bytes, at the cost of retained memory. Memory beyond the
// default retention is trimmed as well, with `later` only once the new memory is mapped. Nothing is
// counted as held or used before it is mapped, so a failure leaves no trace.
std::optional<std::uint64_t> PoolImpl::reserve_budget(std::uint64_t bytes, bool reserves,
                                                      bool later) {
  const std::uint64_t used = used_bytes(reserves);
  const std::uint64_t cap = options_.max_bytes.value_or(UINT64_MAX);
  std::unique_lock lock(mutex_);
  const std::uint64_t most = held_bytes_ + pending_bytes_ + bytes;
  std::uint64_t over = most > cap ? most - cap : 0;
  if (!later)
    over = std::max(
        over, over_retention(most, std::max(peak_used_bytes_, used + pending_bytes_ + bytes)));
  if (over != 0 || leavings_ != nullptr) {
    lock.unlock();
    trim(over, std::nullopt);
    lock.lock();
  }
  if (held_bytes_ + pending_bytes_ + bytes > cap) return std::nullopt;
  pending_bytes_ += bytes;
  return used;
}

// Whether there would be room if all that is retained went: else looking for it is in vain. What is
// on its way from one to the other does not count, and is told of when it is there.
bool PoolImpl::may_fit(std::uint64_t bytes) noexcept {
  if (!options_.max_bytes) return true;
  const std::lock_guard guard(mutex_);  // also for the sum: see bring_over()
  const auto retained =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, sum(&Shelf::retained_bytes)));
  return leavings_ != nullptr ||
         held_bytes_ + pending_bytes_ + bytes <= *options_.max_bytes + retained;
}

void PoolImpl::release_budget(std::uint64_t bytes) noexcept {
  const std::lock_guard guard(mutex_);
  pending_bytes_ -= std::min(bytes, pending_bytes_);
}

// The memory is there, on the node of `on`.
void PoolImpl::spend_budget(std::uint64_t bytes, std::uint64_t used, std::uint16_t on) noexcept {
  std::uint64_t over = 0;
  {
    const std::lock_guard guard(mutex_);
    pending_bytes_ -= std::min(bytes, pending_bytes_);
    held_bytes_ += bytes;
    high_water_bytes_ = std::max(high_water_bytes_, held_bytes_);
    peak_used_bytes_ = std::max(peak_used_bytes_, used + bytes);
    NodeBooks& books = books_[on];
    books.held_bytes += bytes;
    books.high_water_bytes = std::max(books.high_water_bytes, books.held_bytes);
    over = over_retention(held_bytes_, peak_used_bytes_);
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
  books.full.for_bytes = 0;
  books.full_together.for_bytes = 0;
  if (waiters_.load(std::memory_order_relaxed) != 0) room_.notify_all();
}

void PoolImpl::require_fits(std::uint64_t size_bytes, std::uint64_t bytes,
                            const char* remedy) const {
  if (bytes <= options_.max_bytes.value_or(UINT64_MAX)) return;
  const std::string rounded =
      bytes == size_bytes ? "" : " (" + std::to_string(size_bytes) + " bytes, rounded up)";
  throw Error(ErrorKind::kExhausted,
              size_text(bytes) + rounded + " never fit into this pool, which may hold " +
                  size_text(*options_.max_bytes) + " (max_bytes); " + remedy);
}

Error PoolImpl::exhausted(std::uint64_t bytes, const std::string& when, const char* remedy) const {
  return {ErrorKind::kExhausted,
          when + "the pool may hold " + size_text(options_.max_bytes.value_or(0)) +
              " (max_bytes), and " + size_text(bytes) + " more would pass that; " + remedy};
}

// Until a block comes back or a moment has passed: a waker may miss a waiter that has just begun.
void PoolImpl::wait_for_room(const InterruptCheck& check) {
  waiters_.fetch_add(1);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    room_.wait_for(lock, kWaitStep);
  }
  waiters_.fetch_sub(1);
  check();
}

void PoolImpl::settle_retained() noexcept {
  const std::int64_t retained = [this] {
    const std::lock_guard guard(mutex_);  // see bring_over()
    return sum(&Shelf::retained_bytes);
  }();
  const auto limit = static_cast<std::int64_t>(*options_.retain_bytes);
  if (retained > limit) trim(static_cast<std::uint64_t>(retained - limit), std::nullopt);
}

}  // namespace numapool
