// A ring of blocks of one size: lent and taken back in order, all of it resident from the start.
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
  NodeIds nodes;  // none: the node of the calling thread
  bool strict = false;
};

// Thread-safe. Blocks lie one after the other, each at a page's beginning, which direct I/O wants
// (open(2), O_DIRECT). Lives until drop() and until every lease is back.
class Ring : public Keeper {
 public:
  // Takes the memory as the pool's; the pool stays alive as long as the ring. Throws as
  // Pool::acquire().
  [[nodiscard]] static Ring* open(Pool& pool, const RingOptions& options,
                                  const InterruptCheck& check, const Pool::Degraded& degraded);

  // The next block in turn; false while it is still lent, for a ring does not skip, and where pages
  // were moved since its place was seen, which acquire() looks at.
  [[nodiscard]] virtual bool try_acquire(Lease& lease) noexcept = 0;
  // The same, waiting for up to `wait_ms`. Throws Error(kExhausted, kClosed, kInterrupted).
  [[nodiscard]] virtual Lease acquire(std::uint64_t wait_ms, const InterruptCheck& check) = 0;

  [[nodiscard]] virtual std::uint32_t lent() const noexcept = 0;
  // Of most of the blocks. Asks the system where pages were moved.
  [[nodiscard]] virtual BlockPlace place() = 0;
  [[nodiscard]] virtual std::size_t stride_bytes() const noexcept = 0;
  // Lends no more; the memory goes back to the system with the last lease. Idempotent.
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;
  virtual void drop() noexcept = 0;  // the owner lets go: *this may be gone

 protected:
  ~Ring() = default;
};

}  // namespace numapool
