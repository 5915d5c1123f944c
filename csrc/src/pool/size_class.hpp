// Size classes: sixteen per power of two above 1 MiB, four below, and never less than whole pages.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace numapool {

// Up to 1 MiB, blocks have 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... pages. From five pages
// up a block is at most a quarter larger than the request. Finer classes would leave more slabs
// partly empty, because a slab has blocks of one class. Above 1 MiB, and in pools of huge pages,
// blocks have 1 to 16, 17, ..., 32, 34, ... units. A block is at most a sixteenth larger than the
// request, or less than one huge page.
class SizeClasses {
 public:
  // 64 TiB, the most physical memory of x86-64 with four levels of page tables. Each class costs a
  // word for each CPU and node.
  static constexpr std::size_t kLargestBytes = std::size_t{1} << 46;
  static constexpr std::size_t kFineFromBytes = std::size_t{1} << 20;
  static constexpr std::size_t kCount = 444;      // of 4 KiB pages; of larger ones there are fewer
  static constexpr std::size_t kMostCoarse = 28;  // the classes up to 1 MiB
  // An idle block of up to this many classes above may serve a request. It is at most a quarter
  // larger than the request.
  static constexpr std::size_t kLarger = 3;

  explicit SizeClasses(std::size_t unit_bytes, bool huge_pages = false) noexcept
      : shift_(static_cast<unsigned>(std::countr_zero(unit_bytes))) {
    if (huge_pages) return;
    coarse_units_ = kFineFromBytes >> shift_;
    coarse_ = coarse(coarse_units_ - 1) + 1;
    skip_ = fine(coarse_units_) - coarse_;
    first_shared_ = coarse_;
  }

  // Returns kCount or more if no block is that large. `size_bytes` must not be 0.
  [[nodiscard]] std::size_t of(std::size_t size_bytes) const noexcept {
    const std::size_t last = (size_bytes - 1) >> shift_;  // units less one
    return last < coarse_units_ ? coarse(last) : fine(last) - skip_;
  }

  [[nodiscard]] std::size_t bytes(std::size_t size_class) const noexcept {
    if (size_class < coarse_) {
      if (size_class < 4) return (size_class + 1) << shift_;
      return (size_class % 4 + 5) << (size_class / 4 - 1 + shift_);
    }
    const std::size_t at = size_class + skip_;
    if (at < 16) return (at + 1) << shift_;
    return (at % 16 + 17) << (at / 16 - 1 + shift_);
  }

  // Returns the largest class whose idle blocks may serve a request of `size_class`.
  [[nodiscard]] std::size_t last_for(std::size_t size_class) const noexcept {
    return size_class < first_shared_ ? size_class : std::min(size_class + kLarger, kCount - 1);
  }

 private:
  static std::size_t coarse(std::size_t last) noexcept {
    if (last < 4) return last;
    const auto power = static_cast<unsigned>(std::bit_width(last)) - 1;
    return 4 * (power - 1) + (last >> (power - 2)) - 4;
  }
  static std::size_t fine(std::size_t last) noexcept {
    if (last < 16) return last;
    const auto power = static_cast<unsigned>(std::bit_width(last)) - 1;
    return 16 * (power - 3) + (last >> (power - 4)) - 16;
  }

  unsigned shift_;
  std::size_t coarse_units_ = 0;   // blocks of up to this many units have coarse classes
  std::size_t coarse_ = 0;         // how many coarse classes there are
  std::size_t skip_ = 0;           // how many more fine classes there would be up to 1 MiB
  std::size_t first_shared_ = 16;  // from this class up, a larger block may serve
};

}  // namespace numapool
