// Dependent loads around a circle of lines.
#pragma once

#include <cstdint>

#include "bench/bench_team.hpp"
#include "numapool/bench.hpp"

namespace numapool::bench {

// Throws Error(kInvalidArgument) for fewer than two lines, or more than can be numbered.
void require_lines(Memory memory, std::size_t least, const char* what);

// The line that a line of a circle points to.
[[nodiscard]] inline const void* next(const void* at) noexcept {
  return *static_cast<const void* const*>(at);
}

// Follows the circle from `at` on until `end`; `at` is where it stopped.
[[nodiscard]] Chase follow(const void*& at, Clock::time_point end) noexcept;

}  // namespace numapool::bench
