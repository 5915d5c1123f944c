// Times loads of lines that another CPU's cache has, modified or clean.
#include <atomic>
#include <cstring>

#include "bench/bench_circle.hpp"
#include "bench/bench_team.hpp"
#include "numapool/bench.hpp"
#include "numapool/error.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace numapool::bench {
namespace {

#if defined(__x86_64__)
constexpr bool kCanFlush = true;
void flush_line(const std::byte* line) noexcept { _mm_clflush(line); }
void wait_for_flushes() noexcept { _mm_mfence(); }
#elif defined(__aarch64__)
constexpr bool kCanFlush = true;
void flush_line(const std::byte* line) noexcept {
  __asm__ volatile("dc civac, %0" : : "r"(line) : "memory");
}
void wait_for_flushes() noexcept { __asm__ volatile("dsb ish" : : : "memory"); }
#else
constexpr bool kCanFlush = false;
void flush_line(const std::byte*) noexcept {}
void wait_for_flushes() noexcept {}
#endif

constexpr std::size_t kOwner = 0;

// Whose turn it is. Each member waits for its own; the reader ends the round.
enum Turn : int { kOwnersTurn, kReadersTurn, kRoundIsOver };

// Brings all lines into the caches of the calling thread's CPU, and into no other's.
void own(Memory circle, LineState lines) noexcept {
  if (lines == LineState::kClean) {
    for (std::size_t at = 0; at < circle.size(); at += kLineBytes) flush_line(circle.data() + at);
    wait_for_flushes();
    const void* at = circle.data();
    for (std::size_t i = 0; i < circle.size() / kLineBytes; ++i) at = next(at);
    constinit static std::atomic<const void*> sink{nullptr};
    sink.store(at, std::memory_order_relaxed);  // keeps the compiler from dropping the loads
    return;
  }
  // Behind the pointer, which the reader follows.
  for (std::size_t at = 0; at < circle.size(); at += kLineBytes)
    *reinterpret_cast<volatile char*>(circle.data() + at + sizeof(void*)) = 1;
}

}  // namespace

bool can_flush() noexcept { return kCanFlush; }

Chases chase_from_cache(Memory circle, std::span<const int> cpus, LineState lines,
                        const Plan& plan) {
  require_lines(circle, 2, "a circle");
  if (cpus.size() != 2) {
    throw Error(ErrorKind::kInvalidArgument,
                "latency from cache to cache takes two CPUs: the owner of the lines, and a reader");
  }
  if (plan.rounds == 0)
    throw Error(ErrorKind::kInvalidArgument, "a measurement takes at least one round");
  if (lines == LineState::kClean && !kCanFlush) {
    throw Error(ErrorKind::kUnsupported,
                "clean lines cannot be measured: this processor has no instruction that flushes a "
                "line. Measure modified ones.");
  }
  Chases out;
  out.rounds.resize(plan.rounds);
  std::atomic<int> turn{kOwnersTurn};
  const auto wait_for = [&turn](int wanted) {
    int seen = turn.load(std::memory_order_acquire);
    while (seen != wanted && seen != kRoundIsOver) seen = turn.load(std::memory_order_acquire);
    return seen == wanted;
  };
  const auto read = [&](std::uint32_t round, Clock::time_point end) {
    const std::size_t loads = circle.size() / kLineBytes;
    const void* at = circle.data();
    Chase& sum = out.rounds[round];
    do {
      wait_for(kReadersTurn);
      const Clock::time_point begin = Clock::now();
      for (std::size_t i = 0; i < loads; ++i) at = next(at);
      // The circle ends where it began: the comparison waits for the last load.
      if (at == circle.data()) sum.loads += loads;
      sum.ns += ns_between(begin, Clock::now());
      turn.store(kOwnersTurn, std::memory_order_release);
    } while (Clock::now() < end);
    wait_for(kReadersTurn);
    turn.store(kRoundIsOver, std::memory_order_release);
  };
  const auto lend = [&] {
    while (wait_for(kOwnersTurn)) {
      own(circle, lines);
      turn.store(kReadersTurn, std::memory_order_release);
    }
    turn.store(kOwnersTurn, std::memory_order_release);
  };
  out.stayed = run_team(cpus, plan,
                        {[](std::size_t) {},
                         [&](std::size_t member, std::uint32_t round, Clock::time_point end) {
                           if (member == kOwner)
                             lend();
                           else
                             read(round, end);
                         }});
  return out;
}

}  // namespace numapool::bench
