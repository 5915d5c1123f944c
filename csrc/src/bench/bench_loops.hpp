// The loops that stream through memory, compiled for more than one processor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace numapool::bench {

// Counts are of 8-byte elements, multiples of 8; arrays begin at a line and do not overlap.
struct Loops {
  const char* name;
  std::uint64_t (*sum)(const std::uint64_t* from, std::size_t count) noexcept;
  void (*fill)(double* to, std::size_t count, double value) noexcept;
  void (*copy)(double* to, const double* from, std::size_t count) noexcept;
  void (*triad)(double* to, const double* one, const double* other, double factor,
                std::size_t count) noexcept;
  void (*mix)(double* to, const double* one, const double* other, const double* third,
              double factor, std::size_t count) noexcept;
};

// The best that this processor can run.
[[nodiscard]] const Loops& loops() noexcept;
// The one that every processor can run which the module was built for.
[[nodiscard]] const Loops& baseline_loops() noexcept;

}  // namespace numapool::bench
