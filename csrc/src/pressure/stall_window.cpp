// The stall within the last window of time.
#include "pressure/stall_window.hpp"

#include <algorithm>

namespace numapool {

void StallWindow::add(const platform::StallTotals& totals, std::uint64_t now_ns) noexcept {
  if (count_ != 0) {
    const Sample& last = newest();
    if (totals.source != source_ || totals.some_us < last.some_us ||
        totals.full_us < last.full_us) {
      count_ = next_ = 0;
      grew_ns_ = began_ns_ = 0;
    }
  }
  source_ = totals.source;
  if (count_ != 0) {
    const Sample last = newest();
    const std::uint64_t grown_us = totals.some_us - last.some_us;
    if (grown_us != 0) {
      // A stall is the same one if it paused for less than a window. It began at least as long ago
      // as its duration, and after the look before.
      const bool goes_on = grew_ns_ != 0 && now_ns - grew_ns_ < window_ns_;
      if (!goes_on || began_ns_ == 0) {
        const std::uint64_t since = std::min(grown_us * 1000, now_ns - last.ns);
        began_ns_ = now_ns - since;
      }
      grew_ns_ = now_ns;
    } else if (grew_ns_ != 0 && now_ns - grew_ns_ >= window_ns_) {
      began_ns_ = 0;
    }
    // Looks in quick succession share a slot, so that the samples always span the window.
    const Sample& before = samples_[(next_ + kSamples - 2) % kSamples];
    if (count_ >= 2 && last.ns - before.ns < window_ns_ / (kSamples / 2)) {
      next_ = (next_ + kSamples - 1) % kSamples;
      --count_;
    }
  }
  samples_[next_] = {now_ns, totals.some_us, totals.full_us};
  next_ = (next_ + 1) % kSamples;
  count_ = std::min(count_ + 1, kSamples);
}

std::uint64_t StallWindow::most(std::uint64_t Sample::* total) const noexcept {
  if (count_ < 2) return 0;
  const Sample& last = newest();
  std::uint64_t largest = 0;
  for (std::size_t back = 2; back <= count_; ++back) {
    const Sample& then = samples_[(next_ + kSamples - back) % kSamples];
    const std::uint64_t elapsed = last.ns - then.ns;
    std::uint64_t grown = last.*total - then.*total;
    if (elapsed > window_ns_) grown = grown * (window_ns_ / 1000) / (elapsed / 1000);
    largest = std::max(largest, grown);
    if (elapsed >= window_ns_) break;
  }
  return largest;
}

}  // namespace numapool
