// Kernels that measure what memory costs: dependent loads, streams, both at once, and first use.
//
// Each runs on threads of its own, one for each CPU that is named, and in rounds, so that the
// caller can tell a figure from an accident. A round takes the time asked for and a little more;
// nothing is interrupted in between. Throws Error: kInvalidArgument for memory that is too small,
// kSystem if no thread can be started. The memory is the caller's, resident, begins at a line, and
// is nobody else's meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"

namespace numapool::bench {

inline constexpr std::size_t kLineBytes = 64;  // what x86-64 and most ARM cores load at once

using Memory = std::span<std::byte>;

struct Plan {
  std::uint64_t round_ns = 0;
  std::uint32_t rounds = 0;
};

// Links the lines of the memory to one circle, in an order that `seed` decides: no prefetcher can
// tell which comes next.
void link_circle(Memory memory, std::uint64_t seed);

// Loads that each wait for the one before.
struct Chase {
  std::uint64_t loads = 0;
  std::uint64_t ns = 0;
};

// `stayed`: every thread ran on its CPU alone, from begin to end. False where the platform does not
// let a thread choose, or none was named.
struct Chases {
  std::vector<Chase> rounds;
  bool stayed = false;
};

// Follows the circle that link_circle() made of this memory. No `cpu`: anywhere.
[[nodiscard]] Chases chase(Memory circle, std::span<const int> cpu, const Plan& plan);

enum class Kind {
  kRead,   // add up
  kWrite,  // fill
  kCopy,   // the first half from the second
  kTriad,  // the first third from the others: a = b + s * c
};

// Bytes that the program reads and writes, all threads together, of each round; what the processor
// fetches of a line before it is written over is not counted, as in STREAM.
struct Streams {
  std::vector<double> bytes_per_s;
  bool stayed = false;
};

// Every CPU streams through a share of the memory, over and over. No `cpus`: one thread, anywhere.
[[nodiscard]] Streams stream(Kind kind, Memory memory, std::span<const int> cpus, const Plan& plan);

struct Loaded {
  std::vector<Chase> chases;
  std::vector<double> load_bytes_per_s;
  bool stayed = false;
};

// Follows the circle on cpus[0] while all others read `load`, with `pause` steps of arithmetic
// after each 4 KiB. Takes two CPUs at least.
[[nodiscard]] Loaded chase_under_load(Memory circle, Memory load, std::span<const int> cpus,
                                      std::uint64_t pause, const Plan& plan);

enum class First {
  kTouch,     // a byte of each base page is written, by one thread
  kPopulate,  // as the allocator does it, by as many threads as help
};

struct FirstUse {
  std::uint64_t ns = 0;
  std::size_t page_bytes = 0;  // of the largest page that came
  std::uint64_t bytes_on_node = 0;
  bool stayed = false;
};

// Maps memory that nobody used before, prefers `node` for it, uses it for the first time, and gives
// it back; only the first use is timed. Throws Error(kNoMemory) also where the machine has not that
// much.
[[nodiscard]] FirstUse first_use(First way, std::size_t length, const platform::Pages& pages,
                                 int node, std::span<const int> cpus);

// Writes a byte of every `step` bytes, in the calling thread.
void touch(Memory memory, std::size_t step) noexcept;

// Steps of arithmetic that each wait for the one before, in the calling thread: how long they take
// tells how fast the processor runs, whatever memory does.
[[nodiscard]] std::uint64_t spin_ns(std::uint64_t steps) noexcept;

// The instructions that stream() uses here: "avx2", or "baseline" for what the module was built
// for.
[[nodiscard]] std::string instructions();

}  // namespace numapool::bench
