// Which of several sizes of transparent huge pages suits a mapping.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace numapool::platform {

// `sizes` are powers of two, added up. The best for a mapping of `length` bytes is the largest up
// to 2 MiB: larger ones (32 MiB where base pages have 16 KiB, 512 MiB where they have 64 KiB) are
// seldom free, and cost that much at the first touch. Where none is that small, the smallest. 0: no
// size fits.
[[nodiscard]] constexpr std::size_t best_transparent(std::uint64_t sizes,
                                                     std::size_t length) noexcept {
  if (length == 0) return 0;
  constexpr std::uint64_t kUpTo2MiB = (std::uint64_t{4} << 20) - 1;
  const std::uint64_t fit = sizes & (std::bit_floor(std::uint64_t{length}) * 2 - 1);
  if (const std::uint64_t small = fit & kUpTo2MiB) return std::bit_floor(small);
  return static_cast<std::size_t>(fit & (~fit + 1));
}

}  // namespace numapool::platform
