// The stall within the last window of time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "platform/pressure.hpp"

namespace numapool {

class StallWindow {
 public:
  explicit StallWindow(std::uint64_t window_us) noexcept : window_ns_(window_us * 1000) {}

  // Adds totals as read at `now_ns`. Totals from another source, or totals that decreased, start a
  // new window.
  void add(const platform::StallTotals& totals, std::uint64_t now_ns) noexcept;
  // Whether the totals grew since the look before.
  [[nodiscard]] bool grew_since(std::uint64_t then_ns) const noexcept {
    return grew_ns_ != 0 && grew_ns_ >= then_ns;
  }

  // Microseconds of stall in the window. A stall measured over a longer time counts in proportion.
  [[nodiscard]] std::uint64_t some_us() const noexcept { return most(&Sample::some_us); }
  [[nodiscard]] std::uint64_t full_us() const noexcept { return most(&Sample::full_us); }
  // The beginning of the current stall; 0 if there is none.
  [[nodiscard]] std::uint64_t began_ns() const noexcept { return began_ns_; }

 private:
  struct Sample {
    std::uint64_t ns = 0;
    std::uint64_t some_us = 0;
    std::uint64_t full_us = 0;
  };
  [[nodiscard]] std::uint64_t most(std::uint64_t Sample::* total) const noexcept;
  [[nodiscard]] const Sample& newest() const noexcept {
    return samples_[(next_ + kSamples - 1) % kSamples];
  }

  static constexpr std::size_t kSamples = 64;
  std::uint64_t window_ns_;
  std::array<Sample, kSamples> samples_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::uint64_t grew_ns_ = 0;
  std::uint64_t began_ns_ = 0;
  platform::PressureSource source_ = platform::PressureSource::kStall;
};

}  // namespace numapool
