// A ring of equally sized blocks, lent and returned in order, all resident from the start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "numapool/buffer.hpp"
#include "numapool/pool.hpp"

namespace numapool {

struct RingOptions {
  std::size_t block_bytes = 0;
  std::uint32_t count = 0;
  NodeIds nodes;  // empty: the node of the calling thread
  bool strict = false;
};

// All of it is thread-safe. The blocks are contiguous, and each begins at a page boundary, as
// direct I/O requires (open(2), O_DIRECT). A ring lives until drop() was called and every block is
// back.
class Ring : public Keeper {
 public:
  // Takes its memory from the pool, which stays alive as long as the ring. Throws as
  // Pool::acquire().
  [[nodiscard]] static Ring* open(Pool& pool, const RingOptions& options,
                                  const InterruptCheck& check, const Pool::Degraded& degraded);

  // Lends the next block in turn. Returns false if that block is still lent (a ring does not skip),
  // or if its pages were moved since its placement was read, which acquire() then reads again.
  [[nodiscard]] virtual bool try_acquire(Lease& lease) noexcept = 0;
  // The same, but waits for up to `wait_ms`. Throws Error(kExhausted, kClosed, kInterrupted).
  [[nodiscard]] virtual Lease acquire(std::uint64_t wait_ms, const InterruptCheck& check) = 0;

  [[nodiscard]] virtual std::uint32_t lent() const noexcept = 0;
  // The node of most of the blocks. Asks the system if pages were moved.
  [[nodiscard]] virtual BlockPlace place() = 0;
  [[nodiscard]] virtual std::size_t stride_bytes() const noexcept = 0;
  // Stops lending; the memory returns to the system with the last block. Idempotent.
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;
  virtual void drop() noexcept = 0;  // the owner is done; *this may be destroyed

 protected:
  ~Ring() = default;
};

}  // namespace numapool
