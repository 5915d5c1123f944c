// The count of views that a buffer has given out, and whether it is closed: one atomic word.
#pragma once

#include <atomic>
#include <cstdint>

namespace numapool::bindings {

// Thread-safe and lock-free, so that a view may be dropped by any thread, with or without the GIL.
// Exactly one caller is told to free the memory.
class Exports {
 public:
  // One more view. False once the buffer is closed or closing.
  [[nodiscard]] bool add() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while ((seen & (kClosed | kClosing)) == 0) {
      if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  // One view less. True: it was the last of a closing buffer, and the caller frees the memory.
  [[nodiscard]] bool drop() noexcept {
    const std::uint64_t left = word_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (left != kClosing) return false;
    std::uint64_t expected = kClosing;
    return word_.compare_exchange_strong(expected, kClosed, std::memory_order_acq_rel);
  }

  enum class Close { kFree, kBusy, kAlready };  // kFree: the caller frees the memory

  // Closes unless a view lives.
  [[nodiscard]] Close close() noexcept {
    std::uint64_t expected = 0;
    if (word_.compare_exchange_strong(expected, kClosed, std::memory_order_acq_rel))
      return Close::kFree;
    return (expected & (kClosed | kClosing)) != 0 ? Close::kAlready : Close::kBusy;
  }

  // The same where nobody else can give out a view meanwhile: of the views that there are, each may
  // still go at any time.
  [[nodiscard]] Close close_alone() noexcept {
    const std::uint64_t seen = word_.load(std::memory_order_acquire);
    if (seen != 0) return (seen & (kClosed | kClosing)) != 0 ? Close::kAlready : Close::kBusy;
    word_.store(kClosed, std::memory_order_release);
    return Close::kFree;
  }

  // Closes now or, with views alive, when the last of them goes. True: the caller frees the memory.
  [[nodiscard]] bool close_when_unused() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while ((seen & (kClosed | kClosing)) == 0) {
      const std::uint64_t next = seen == 0 ? kClosed : seen | kClosing;
      if (word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel))
        return next == kClosed;
    }
    return false;
  }

  [[nodiscard]] bool closed() const noexcept {
    return (word_.load(std::memory_order_acquire) & (kClosed | kClosing)) != 0;
  }
  [[nodiscard]] std::uint64_t count() const noexcept {
    return word_.load(std::memory_order_relaxed) & ~(kClosed | kClosing);
  }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kClosing = std::uint64_t{1} << 62;
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace numapool::bindings
