// Links lines to a random circle, and follows it.
#include "bench/bench_circle.hpp"

#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "numapool/error.hpp"

namespace numapool::bench {
namespace {

constexpr std::uint64_t kBatch = 2048;  // loads between looks at the clock, a multiple of kUnrolled
constexpr std::uint64_t kUnrolled = 16;

// splitmix64 (Steele, Lea and Flood 2014): any seed will do, and it is the same everywhere.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  // From 0 to limit - 1. The bias of the multiplication (2^-32 at most here) is irrelevant.
  [[nodiscard]] std::uint32_t below(std::uint32_t limit) noexcept {
    state_ += 0x9E3779B97F4A7C15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    const auto half = static_cast<std::uint32_t>((mixed ^ (mixed >> 31)) >> 32);
    return static_cast<std::uint32_t>((std::uint64_t{half} * limit) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace

void require_lines(Memory memory, std::size_t least, const char* what) {
  const std::size_t lines = memory.size() / kLineBytes;
  const bool aligned = reinterpret_cast<std::uintptr_t>(memory.data()) % kLineBytes == 0;
  if (aligned && lines >= least && lines <= std::numeric_limits<std::uint32_t>::max()) return;
  throw Error(ErrorKind::kInvalidArgument, std::string(what) + " takes from " +
                                               std::to_string(least) + " to 2^32 - 1 lines of " +
                                               std::to_string(kLineBytes) + " bytes, not " +
                                               std::to_string(memory.size()) + " bytes" +
                                               (aligned ? "" : " that begin within a line"));
}

// Sattolo's shuffle turns the numbers into a permutation that is one circle. It works on the
// numbers, which take at most a sixteenth of the memory, and then writes the lines in order.
void link_circle(Memory memory, std::uint64_t seed, std::size_t step) {
  require_lines(memory, 2, "a circle");
  if (step == 0 || step % kLineBytes != 0 || memory.size() / step < 2) {
    throw Error(ErrorKind::kInvalidArgument,
                "a circle takes steps of whole lines, two at least, not steps of " +
                    std::to_string(step) + " bytes in " + std::to_string(memory.size()));
  }
  const auto lines = static_cast<std::uint32_t>(memory.size() / step);
  const auto line = [memory, step](std::uint32_t i) {
    return memory.data() + std::size_t{i} * step + std::size_t{i} * kLineBytes % step;
  };
  std::vector<std::uint32_t> successor(lines);
  std::iota(successor.begin(), successor.end(), 0U);
  Dice dice(seed);
  for (std::uint32_t i = lines - 1; i > 0; --i) std::swap(successor[i], successor[dice.below(i)]);
  for (std::uint32_t i = 0; i < lines; ++i) {
    const void* const to = line(successor[i]);
    std::memcpy(line(i), &to, sizeof to);
  }
}

Chase follow(const void*& at, Clock::time_point end) noexcept {
  const void* line = at;
  Chase out;
  const Clock::time_point begin = Clock::now();
  Clock::time_point now = begin;
  do {
    for (std::uint64_t i = 0; i < kBatch; i += kUnrolled) {
      line = next(next(next(next(line))));
      line = next(next(next(next(line))));
      line = next(next(next(next(line))));
      line = next(next(next(next(line))));
    }
    out.loads += kBatch;
    now = Clock::now();
  } while (now < end);
  at = line;  // the loads had a purpose, the compiler sees
  out.ns = ns_between(begin, now);
  return out;
}

}  // namespace numapool::bench
