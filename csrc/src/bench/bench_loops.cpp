// The same plain loops twice: for the processor that the module is built for, and for AVX2. The
// compiler makes vectors of them (targets.cmake says how this file is compiled).
#include "bench/bench_loops.hpp"

#include <memory>

#if defined(__GNUC__)
#define NUMAPOOL_INLINE inline __attribute__((always_inline))
#define NUMAPOOL_RESTRICT __restrict__
#else
#define NUMAPOOL_INLINE inline
#define NUMAPOOL_RESTRICT __restrict
#endif
#if defined(__GNUC__) && defined(__x86_64__)
#define NUMAPOOL_AVX2 __attribute__((target("avx2,fma")))
#endif

namespace numapool::bench {
namespace {

constexpr std::size_t kAligned = 64;

NUMAPOOL_INLINE std::uint64_t sum_loop(const std::uint64_t* from, std::size_t count) noexcept {
  const std::uint64_t* const data = std::assume_aligned<kAligned>(from);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) total += data[i];
  return total;
}

NUMAPOOL_INLINE void fill_loop(double* to, std::size_t count, double value) noexcept {
  double* const data = std::assume_aligned<kAligned>(to);
  for (std::size_t i = 0; i < count; ++i) data[i] = value;
}

NUMAPOOL_INLINE void copy_loop(double* NUMAPOOL_RESTRICT to, const double* NUMAPOOL_RESTRICT from,
                               std::size_t count) noexcept {
  double* const NUMAPOOL_RESTRICT data = std::assume_aligned<kAligned>(to);
  const double* const NUMAPOOL_RESTRICT source = std::assume_aligned<kAligned>(from);
  for (std::size_t i = 0; i < count; ++i) data[i] = source[i];
}

NUMAPOOL_INLINE void triad_loop(double* NUMAPOOL_RESTRICT to, const double* NUMAPOOL_RESTRICT one,
                                const double* NUMAPOOL_RESTRICT other, double factor,
                                std::size_t count) noexcept {
  double* const NUMAPOOL_RESTRICT data = std::assume_aligned<kAligned>(to);
  const double* const NUMAPOOL_RESTRICT first = std::assume_aligned<kAligned>(one);
  const double* const NUMAPOOL_RESTRICT second = std::assume_aligned<kAligned>(other);
  for (std::size_t i = 0; i < count; ++i) data[i] = first[i] + factor * second[i];
}

NUMAPOOL_INLINE void mix_loop(double* NUMAPOOL_RESTRICT to, const double* NUMAPOOL_RESTRICT one,
                              const double* NUMAPOOL_RESTRICT other,
                              const double* NUMAPOOL_RESTRICT third, double factor,
                              std::size_t count) noexcept {
  double* const NUMAPOOL_RESTRICT data = std::assume_aligned<kAligned>(to);
  const double* const NUMAPOOL_RESTRICT first = std::assume_aligned<kAligned>(one);
  const double* const NUMAPOOL_RESTRICT second = std::assume_aligned<kAligned>(other);
  const double* const NUMAPOOL_RESTRICT last = std::assume_aligned<kAligned>(third);
  for (std::size_t i = 0; i < count; ++i) data[i] = first[i] + second[i] + factor * last[i];
}

std::uint64_t sum(const std::uint64_t* from, std::size_t count) noexcept {
  return sum_loop(from, count);
}
void fill(double* to, std::size_t count, double value) noexcept { fill_loop(to, count, value); }
void copy(double* to, const double* from, std::size_t count) noexcept {
  copy_loop(to, from, count);
}
void triad(double* to, const double* one, const double* other, double factor,
           std::size_t count) noexcept {
  triad_loop(to, one, other, factor, count);
}
void mix(double* to, const double* one, const double* other, const double* third, double factor,
         std::size_t count) noexcept {
  mix_loop(to, one, other, third, factor, count);
}
constexpr Loops kBaseline{"baseline", sum, fill, copy, triad, mix};

#ifdef NUMAPOOL_AVX2
NUMAPOOL_AVX2 std::uint64_t sum_avx2(const std::uint64_t* from, std::size_t count) noexcept {
  return sum_loop(from, count);
}
NUMAPOOL_AVX2 void fill_avx2(double* to, std::size_t count, double value) noexcept {
  fill_loop(to, count, value);
}
NUMAPOOL_AVX2 void copy_avx2(double* to, const double* from, std::size_t count) noexcept {
  copy_loop(to, from, count);
}
NUMAPOOL_AVX2 void triad_avx2(double* to, const double* one, const double* other, double factor,
                              std::size_t count) noexcept {
  triad_loop(to, one, other, factor, count);
}
NUMAPOOL_AVX2 void mix_avx2(double* to, const double* one, const double* other, const double* third,
                            double factor, std::size_t count) noexcept {
  mix_loop(to, one, other, third, factor, count);
}
constexpr Loops kAvx2{"avx2", sum_avx2, fill_avx2, copy_avx2, triad_avx2, mix_avx2};
#endif

}  // namespace

const Loops& loops() noexcept {
#ifdef NUMAPOOL_AVX2
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) return kAvx2;
#endif
  return kBaseline;
}

const Loops& baseline_loops() noexcept { return kBaseline; }

}  // namespace numapool::bench
