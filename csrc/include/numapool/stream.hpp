// Reads a file ahead of its consumer, with its own threads, into blocks that are reused.
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
  std::uint32_t depth = 0;  // blocks that are read at the same time, each by its own thread
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> size;  // bytes to read at most; empty: until the end of the file
  NodeIds nodes;                      // where the blocks are; empty: the node of the calling thread
  bool strict = false;
  std::vector<int> cpus;  // CPUs for the threads; empty: any
};

// What the consumer gets next: a block, the end of the file, or a failure at `offset`. Nothing
// follows a failure.
struct StreamItem {
  enum class Kind { kBlock, kEnd, kFailure };
  Kind kind = Kind::kEnd;
  Lease lease;  // kBlock: the consumer must give it back
  std::uint64_t offset = 0;
  std::size_t bytes = 0;  // valid bytes, from the beginning of the block
  platform::Failure failure;
};

// Blocks come in file order and without gaps, even if the file changes meanwhile. All but the first
// and the last are full. Thread-safe. Blocks that are out stay valid after the stream is gone.
class Stream {
 public:
  // Takes memory for depth + 1 blocks from the pool (fewer for a small file), and starts reading.
  // Throws as Pool::acquire(), and Error(kSystem) if no thread can be started.
  [[nodiscard]] static std::unique_ptr<Stream> open(File&& file, Pool& pool,
                                                    const StreamOptions& options,
                                                    const InterruptCheck& check,
                                                    const Pool::Degraded& degraded);
  virtual ~Stream() = default;  // reads in flight end by themselves

  // Returns the next block or failure if it is ready. Only next() reports the end.
  [[nodiscard]] virtual std::optional<StreamItem> try_next() = 0;
  // Waits for the next item. While consumers hold every block, it waits at most `starved_ms`
  // (empty: without limit) and then throws Error(kExhausted). Throws kClosed after close(), and
  // after a fork. When a consumer is told of the end, the file is already closed.
  [[nodiscard]] virtual StreamItem next(std::optional<std::uint64_t> starved_ms,
                                        const InterruptCheck& check) = 0;
  // As next(), without waiting: nothing where the next item is not there yet.
  [[nodiscard]] virtual std::optional<StreamItem> poll() = 0;
  // Readable from when there is something for poll() until it returns nothing. -1 where the system
  // has none left. Before the first call poll() makes nothing readable.
  [[nodiscard]] virtual int descriptor() = 0;
  // Consumers hold every block: nothing can be read until one is given back.
  [[nodiscard]] virtual bool starved() const = 0;
  // Stops reading, and waits for reads in flight. Idempotent.
  virtual void close(const InterruptCheck& check) = 0;
  [[nodiscard]] virtual bool closed() const = 0;

  struct Figures {
    std::uint64_t bytes = 0;  // bytes read, delivered or not
    std::uint64_t direct_bytes = 0;
    std::string why_not_direct;  // why some reads used the page cache; may be empty
    std::optional<int> node_id;
    std::uint32_t blocks = 0;
    std::size_t block_bytes = 0;
  };
  [[nodiscard]] virtual Figures figures() const = 0;
};

}  // namespace numapool
