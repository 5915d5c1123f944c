// Kernels that measure what memory costs: dependent loads, streams, both at once, and first use.
//
// Each kernel runs on its own threads, one per CPU given, and in rounds, so that the caller can
// tell a typical figure from an outlier. A round takes slightly longer than asked for; nothing is
// interrupted in between. The caller provides the memory: resident, aligned to a cache line, and
// unused by anybody else meanwhile. Throws Error: kInvalidArgument for too little memory, kSystem
// if no thread can be started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"

namespace numapool::bench {

inline constexpr std::size_t kLineBytes = 64;  // the cache line size of x86-64 and most ARM cores

using Memory = std::span<std::byte>;

struct Plan {
  std::uint64_t round_ns = 0;
  std::uint32_t rounds = 0;
};

// Links the lines of the memory into one circle, in an order chosen by `seed`, which no prefetcher
// can predict. With a `step` of several lines, one line in each step is linked: neighbours use
// different lines of their steps, so that they do not compete for the same sets of a cache.
void link_circle(Memory memory, std::uint64_t seed, std::size_t step = kLineBytes);

// Loads, each of which waits for the previous one.
struct Chase {
  std::uint64_t loads = 0;
  std::uint64_t ns = 0;
};

// `stayed`: every thread ran on its own CPU from beginning to end. False if the platform cannot
// bind threads, or no CPU was given.
struct Chases {
  std::vector<Chase> rounds;
  bool stayed = false;
};

// Follows the circle that link_circle() made of this memory. Without `cpu`: on any CPU.
[[nodiscard]] Chases chase(Memory circle, std::span<const int> cpu, const Plan& plan);

// How the owner's cache has the lines before another CPU reads them.
enum class LineState {
  kModified,  // written
  kClean,     // flushed to memory, and read again; needs can_flush()
};

// Follows the circle, once around at a time, on cpus[1], after cpus[0] has brought all its lines
// into its own cache. Only the reader's loads are timed. Throws Error(kUnsupported) for kClean
// without an instruction to flush a line.
[[nodiscard]] Chases chase_from_cache(Memory circle, std::span<const int> cpus, LineState lines,
                                      const Plan& plan);

// Whether this processor lets a program flush a line from all caches (x86-64: CLFLUSH; AArch64: DC
// CIVAC).
[[nodiscard]] bool can_flush() noexcept;

enum class Kind {
  kRead,   // sum
  kWrite,  // fill
  kCopy,   // copies the second half to the first
  kTriad,  // computes the first third from the others: a = b + s * c
  kMix,    // computes the first quarter from the others, three reads for a write: a = b + c + s * d
};

// Bytes that the program reads and writes in each round, by all threads together. As in STREAM,
// this does not count the read of a cache line before it is overwritten.
struct Streams {
  std::vector<double> bytes_per_s;
  bool stayed = false;
};

// Every CPU streams repeatedly through its share of the memory. Without `cpus`: one thread, on any
// CPU.
[[nodiscard]] Streams stream(Kind kind, Memory memory, std::span<const int> cpus, const Plan& plan);

struct Loaded {
  std::vector<Chase> chases;
  std::vector<double> load_bytes_per_s;
  bool stayed = false;
};

// Follows the circle on cpus[0] while all other CPUs read `load`, with `pause` steps of arithmetic
// after each 4 KiB. Needs at least two CPUs.
[[nodiscard]] Loaded chase_under_load(Memory circle, Memory load, std::span<const int> cpus,
                                      std::uint64_t pause, const Plan& plan);

enum class First {
  kTouch,     // one thread writes a byte to each base page
  kPopulate,  // as the allocator does it, with as many threads as help
};

struct FirstUse {
  std::uint64_t ns = 0;
  std::size_t page_bytes = 0;  // size of the largest page that was mapped
  std::uint64_t bytes_on_node = 0;
  bool stayed = false;
};

// Maps new memory with a preference for `node`, touches it for the first time, and unmaps it; only
// the first touch is timed. Throws Error(kNoMemory) also if the machine has too little memory.
[[nodiscard]] FirstUse first_use(First way, std::size_t length, const platform::Pages& pages,
                                 int node, std::span<const int> cpus);

// Writes one byte in every `step` bytes, in the calling thread.
void touch(Memory memory, std::size_t step) noexcept;

// Runs arithmetic steps, each of which waits for the previous one, in the calling thread. Their
// duration tells the processor's speed independently of memory.
[[nodiscard]] std::uint64_t spin_ns(std::uint64_t steps) noexcept;

// The instruction set that stream() uses here: "avx2", or "baseline" for the one the module was
// compiled for.
[[nodiscard]] std::string instructions();

}  // namespace numapool::bench
