// Many reads of one file at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/storage.hpp"
#include "platform/read_queue.hpp"

namespace numapool {

struct ReadRequest {
  platform::Piece piece;
  std::uint64_t offset = 0;
};

enum class ReadEngine {
  kQueue,    // the system's queue of reads
  kThreads,  // a thread for each read in flight
  kCaller    // the calling thread, one read after the other
};

struct ShortRead {
  std::size_t index = 0;  // of the request
  std::uint64_t bytes = 0;
};

struct ManyReads {
  std::uint64_t bytes = 0;
  std::uint64_t direct_bytes = 0;      // the part of `bytes` that bypassed the page cache
  bool misplaced = false;              // as of Transfer, of any of the reads
  std::vector<ShortRead> short_reads;  // requests that the file's end cut, ascending
  // The first request that failed, in the order they were given. All before it were served; any
  // after it may have been.
  std::optional<platform::Failure> failure;
  std::size_t failed_index = 0;
  std::uint64_t failed_offset = 0;
  ReadEngine engine = ReadEngine::kCaller;
  std::string why_no_queue;  // with kThreads: why not the system's queue
};

// Fills each request's piece with what the file holds at its offset, as File::read does, with up to
// `depth` reads in flight (1 to platform::kMostInFlight). Pieces must not overlap. `check` is
// called regularly and stops the reads by throwing; it is called while none is in flight or from no
// thread that has one. Nothing is in flight any more when this returns or throws.
[[nodiscard]] ManyReads read_many(const File& file, std::span<const ReadRequest> requests,
                                  std::uint32_t depth, const InterruptCheck& check);

// Why this process has no queue of reads; empty: it has one.
[[nodiscard]] std::string why_no_read_queue();

}  // namespace numapool
