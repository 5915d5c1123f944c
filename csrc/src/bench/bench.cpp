// Measures dependent loads, streams, and loads under streams, by teams of threads.
#include "numapool/bench.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "bench/bench_circle.hpp"
#include "bench/bench_loops.hpp"
#include "bench/bench_team.hpp"
#include "numapool/error.hpp"

namespace numapool::bench {
namespace {

// Of each array, between looks at the clock: 10 us or so, and no more than fits a cache.
constexpr std::size_t kSliceBytes = std::size_t{256} << 10;
// Between pauses: some 100 ns of reading, so that the load is even.
constexpr std::size_t kPausedBytes = 4096;
constexpr std::uint32_t kPausedSlices = 16;
constexpr double kOne = 1.0;  // what arrays are filled with: denormal numbers would cost extra

std::size_t arrays_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::kRead:
    case Kind::kWrite:
      return 1;
    case Kind::kCopy:
      return 2;
    case Kind::kTriad:
      return 3;
    case Kind::kMix:
      return 4;
  }
  return 1;
}

// A member's share of the arrays, in cache lines of its own, so that no other thread touches them.
class alignas(2 * kLineBytes) Share {
 public:
  Share(Memory memory, std::size_t arrays, std::size_t member, std::size_t members)
      : arrays_(arrays) {
    const std::size_t lines = memory.size() / kLineBytes;
    const std::size_t each = lines / arrays;
    const std::size_t first = each * member / members;
    bytes_ = (each * (member + 1) / members - first) * kLineBytes;
    for (std::size_t i = 0; i < arrays; ++i)
      begin_[i] = memory.data() + (each * i + first) * kLineBytes;
  }

  void fill_with_ones() const noexcept {
    for (std::size_t i = 0; i < arrays_; ++i)
      loops().fill(numbers(i, 0), bytes_ / sizeof(double), kOne);
  }

  // Goes on from where it was, and wraps round. Returns the bytes read and written.
  std::size_t advance(Kind kind, std::size_t most) noexcept {
    const std::size_t bytes = std::min(most, bytes_ - at_);
    const std::size_t count = bytes / sizeof(double);
    switch (kind) {
      case Kind::kRead:
        total_ += loops().sum(reinterpret_cast<const std::uint64_t*>(begin_[0] + at_), count);
        break;
      case Kind::kWrite:
        loops().fill(numbers(0, at_), count, kOne);
        break;
      case Kind::kCopy:
        loops().copy(numbers(0, at_), numbers(1, at_), count);
        break;
      case Kind::kTriad:
        loops().triad(numbers(0, at_), numbers(1, at_), numbers(2, at_), kOne, count);
        break;
      case Kind::kMix:
        loops().mix(numbers(0, at_), numbers(1, at_), numbers(2, at_), numbers(3, at_), kOne,
                    count);
        break;
    }
    at_ += bytes;
    if (at_ == bytes_) at_ = 0;
    return bytes * arrays_;
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  [[nodiscard]] double* numbers(std::size_t array, std::size_t at) const noexcept {
    return reinterpret_cast<double*>(begin_[array] + at);
  }

  std::size_t arrays_;
  std::array<std::byte*, 4> begin_{};
  std::size_t bytes_ = 0;
  std::size_t at_ = 0;
  std::uint64_t total_ = 0;
};

// Shares, and the rate of each in each round.
class Streaming {
 public:
  Streaming(Memory memory, std::size_t arrays, std::size_t members, const Plan& plan)
      : members_(members), rates_(members * plan.rounds) {
    require_lines(memory, arrays * members, "streaming");
    shares_.reserve(members);
    for (std::size_t i = 0; i < members; ++i) shares_.emplace_back(memory, arrays, i, members);
  }

  [[nodiscard]] Share& share(std::size_t member) noexcept { return shares_[member]; }

  void keep(std::size_t member, std::uint32_t round, std::uint64_t bytes, std::uint64_t ns) {
    rates_[round * members_ + member] =
        static_cast<double>(bytes) * 1e9 / static_cast<double>(std::max<std::uint64_t>(ns, 1));
  }

  // Of all members together, by round.
  [[nodiscard]] std::vector<double> sums() const {
    std::vector<double> out(rates_.size() / members_);
    for (std::size_t i = 0; i < rates_.size(); ++i) out[i / members_] += rates_[i];
    std::uint64_t total = 0;
    for (const Share& one : shares_) total += one.total();
    sink.store(total, std::memory_order_relaxed);
    return out;
  }

 private:
  static inline std::atomic<std::uint64_t> sink{0};  // keeps the compiler from dropping the reads

  std::size_t members_;
  std::vector<Share> shares_;
  std::vector<double> rates_;
};

// Arithmetic that no compiler shortens: x -> x * a + b, each step waiting for the one before.
std::uint64_t spin(std::uint64_t steps, std::uint64_t seed) noexcept {
  for (std::uint64_t i = 0; i < steps; ++i)
    seed = seed * 6364136223846793005U + 1442695040888963407U;
  return seed;
}

std::atomic<std::uint64_t> spun{0};

void require_rounds(const Plan& plan) {
  if (plan.rounds == 0)
    throw Error(ErrorKind::kInvalidArgument, "a measurement takes at least one round");
}

}  // namespace

Chases chase(Memory circle, std::span<const int> cpu, const Plan& plan) {
  require_lines(circle, 2, "a circle");
  require_rounds(plan);
  Chases out;
  out.rounds.resize(plan.rounds);
  const void* at = circle.data();
  out.stayed = run_team(
      cpu.first(std::min<std::size_t>(cpu.size(), 1)), plan,
      {[](std::size_t) {}, [&](std::size_t, std::uint32_t round,
                               Clock::time_point end) { out.rounds[round] = follow(at, end); }});
  return out;
}

Streams stream(Kind kind, Memory memory, std::span<const int> cpus, const Plan& plan) {
  require_rounds(plan);
  Streaming all(memory, arrays_of(kind), std::max<std::size_t>(cpus.size(), 1), plan);
  Streams out;
  out.stayed = run_team(cpus, plan,
                        {[&](std::size_t member) {
                           if (kind == Kind::kTriad || kind == Kind::kMix)
                             all.share(member).fill_with_ones();
                         },
                         [&](std::size_t member, std::uint32_t round, Clock::time_point end) {
                           Share& share = all.share(member);
                           std::uint64_t bytes = 0;
                           const Clock::time_point begin = Clock::now();
                           Clock::time_point now = begin;
                           do {
                             bytes += share.advance(kind, kSliceBytes);
                             now = Clock::now();
                           } while (now < end);
                           all.keep(member, round, bytes, ns_between(begin, now));
                         }});
  out.bytes_per_s = all.sums();
  return out;
}

Loaded chase_under_load(Memory circle, Memory load, std::span<const int> cpus, std::uint64_t pause,
                        const Plan& plan) {
  require_lines(circle, 2, "a circle");
  require_rounds(plan);
  if (cpus.size() < 2) {
    throw Error(ErrorKind::kInvalidArgument,
                "latency under load takes two CPUs: one that waits, and one that loads");
  }
  Streaming all(load, 1, cpus.size() - 1, plan);
  Loaded out;
  out.chases.resize(plan.rounds);
  const void* at = circle.data();
  out.stayed = run_team(cpus, plan,
                        {[](std::size_t) {},
                         [&](std::size_t member, std::uint32_t round, Clock::time_point end) {
                           if (member == 0) {
                             out.chases[round] = follow(at, end);
                             return;
                           }
                           Share& share = all.share(member - 1);
                           std::uint64_t bytes = 0;
                           const Clock::time_point begin = Clock::now();
                           Clock::time_point now = begin;
                           do {
                             for (std::uint32_t i = 0; i < kPausedSlices; ++i) {
                               bytes += share.advance(Kind::kRead, kPausedBytes);
                               if (pause != 0)
                                 spun.store(spin(pause, bytes), std::memory_order_relaxed);
                             }
                             now = Clock::now();
                           } while (now < end);
                           all.keep(member - 1, round, bytes, ns_between(begin, now));
                         }});
  out.load_bytes_per_s = all.sums();
  return out;
}

void touch(Memory memory, std::size_t step) noexcept {
  auto* const bytes = reinterpret_cast<volatile char*>(memory.data());
  for (std::size_t at = 0; at < memory.size(); at += step) bytes[at] = 1;
}

std::uint64_t spin_ns(std::uint64_t steps) noexcept {
  const Clock::time_point begin = Clock::now();
  spun.store(spin(steps, 1), std::memory_order_relaxed);
  return ns_between(begin, Clock::now());
}

std::string instructions() { return loops().name; }

}  // namespace numapool::bench
