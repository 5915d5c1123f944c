// Reads a file ahead of its consumer, by threads of its own, into blocks that are used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/pool.hpp"
#include "numapool/storage.hpp"

namespace numapool {

struct StreamOptions {
  std::size_t block_bytes = 0;
  std::uint32_t depth = 0;  // blocks that are read at once, each by a thread of its own
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> size;  // bytes to read at most; nothing: to the end of the file
  NodeIds nodes;                      // of the blocks; none: the node of the calling thread
  bool strict = false;
  std::vector<int> cpus;  // where the threads run; empty: anywhere
};

// What the consumer gets next: a block, the end of the file, or a failure at `offset`, after which
// there is nothing more.
struct StreamItem {
  enum class Kind { kBlock, kEnd, kFailure };
  Kind kind = Kind::kEnd;
  Lease lease;  // kBlock: to be given back
  std::uint64_t offset = 0;
  std::size_t bytes = 0;  // valid ones, from the block's beginning on
  platform::Failure failure;
};

// Blocks come in the order of the file, without gaps, whatever happens to it meanwhile. All but the
// first and the last are full. Thread-safe. Blocks that are out stay valid after it.
class Stream {
 public:
  // Takes memory for depth + 1 blocks as the pool's (fewer for a small file), and starts to read.
  // Throws as Pool::acquire(), and Error(kSystem) if no thread can be started.
  [[nodiscard]] static std::unique_ptr<Stream> open(File&& file, Pool& pool,
                                                    const StreamOptions& options,
                                                    const InterruptCheck& check,
                                                    const Pool::Degraded& degraded);
  virtual ~Stream() = default;  // reads that are on their way end by themselves

  // The next block or failure if it is there already; only next() tells of the end.
  [[nodiscard]] virtual std::optional<StreamItem> try_next() = 0;
  // Waits for the next item; while every block is with consumers, for `starved_ms` at most
  // (nothing: as long as it takes), then throws Error(kExhausted). Throws kClosed after close() and
  // after a fork. Whoever is told of the end finds the file closed.
  [[nodiscard]] virtual StreamItem next(std::optional<std::uint64_t> starved_ms,
                                        const InterruptCheck& check) = 0;
  // Every block is with consumers: nothing comes until one of them is given back.
  [[nodiscard]] virtual bool starved() const = 0;
  // Reads no more, and waits for what is on its way. Idempotent.
  virtual void close(const InterruptCheck& check) = 0;
  [[nodiscard]] virtual bool closed() const = 0;

  struct Figures {
    std::uint64_t bytes = 0;  // that were read, delivered or not
    std::uint64_t direct_bytes = 0;
    std::string why_not_direct;  // why some of them went through the page cache; may be empty
    std::optional<int> node_id;
    std::uint32_t blocks = 0;
    std::size_t block_bytes = 0;
  };
  [[nodiscard]] virtual Figures figures() const = 0;
};

}  // namespace numapool
