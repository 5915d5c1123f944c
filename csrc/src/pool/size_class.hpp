// Size classes: four per power of two, and never less than whole pages.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace numapool {

// Classes for blocks of 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... units. A block is at most a
// quarter larger than what was asked for, from five units up.
class SizeClasses {
 public:
  static constexpr std::size_t kCount = 140;  // up to 2^36 units: 256 TiB of 4 KiB pages

  explicit SizeClasses(std::size_t unit_bytes) noexcept
      : shift_(static_cast<unsigned>(std::countr_zero(unit_bytes))) {}

  // kCount and more: no block is so large. `size_bytes` is not 0.
  [[nodiscard]] std::size_t of(std::size_t size_bytes) const noexcept {
    const std::size_t last = (size_bytes - 1) >> shift_;  // units less one
    if (last < 4) return last;
    const auto power = static_cast<unsigned>(std::bit_width(last)) - 1;
    const std::size_t quarters = (last >> (power - 2)) + 1;  // 5 to 8
    return 4 * (power - 1) + quarters - 5;
  }

  [[nodiscard]] std::size_t bytes(std::size_t size_class) const noexcept {
    if (size_class < 4) return (size_class + 1) << shift_;
    const std::size_t quarters = size_class % 4 + 5;
    return quarters << (size_class / 4 - 1 + shift_);
  }

 private:
  unsigned shift_;
};

}  // namespace numapool
