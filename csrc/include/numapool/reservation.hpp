// Filling a pool in the background: a thread of ours adds block after block.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/node_ids.hpp"
#include "numapool/pool.hpp"
#include "platform/locks.hpp"

namespace numapool {

// Thread-safe. It keeps the pool's object alive until it is over, and itself while its thread runs:
// whoever is not interested any more just drops it. In the child of a fork it is over, because its
// thread is the parent's.
class Reservation final : private platform::ForkOwner {
 public:
  // Starts to add `count` blocks. Of several nodes, a block comes from any, the nearest to the
  // calling thread first; without nodes, from that of the calling thread. Throws what
  // Pool::reserve() throws where no block can ever be added, and Error(kSystem) if no thread can be
  // started.
  [[nodiscard]] static std::shared_ptr<Reservation> start(Pool& pool, std::size_t size_bytes,
                                                          std::uint64_t count,
                                                          const NodeIds& nodes);
  // The same without a thread: run() does the work, once, on the thread that calls it.
  [[nodiscard]] static std::shared_ptr<Reservation> prepare(Pool& pool, std::size_t size_bytes,
                                                            std::uint64_t count,
                                                            const NodeIds& nodes);
  void run() noexcept;
  ~Reservation();

  // Blocks that were added so far. Those that others took or trimmed since are counted, too.
  [[nodiscard]] std::uint64_t added() const noexcept;
  // The same in bytes, with what is populated of the next block, at most what was asked for. It
  // never shrinks before the end.
  [[nodiscard]] std::uint64_t done_bytes() const noexcept;
  [[nodiscard]] bool over() const noexcept;
  // It ended without an error before all blocks were there: by cancel(), or in the child of a fork.
  [[nodiscard]] bool cancelled() const noexcept;
  // Ends it within about 50 ms. What was added stays in the pool.
  void cancel() noexcept;
  // Waits until it is over; false if that takes longer than `most_ms`. Calls `check` about every 50
  // ms, and throws what it throws.
  [[nodiscard]] bool wait(std::optional<std::uint64_t> most_ms, const InterruptCheck& check);
  // What ended it, once it is over; empty if nothing failed.
  [[nodiscard]] std::optional<Error> error() const;
  // What the allocator reported since the last call.
  [[nodiscard]] std::vector<Degradation> take_degradations();

 private:
  Reservation(Pool& pool, std::size_t size_bytes, std::uint64_t count, NodeIds nodes);
  [[nodiscard]] bool must_end() const noexcept;
  [[nodiscard]] std::optional<Error> add_all() noexcept;
  void after_fork_in_child() noexcept override;

  Pool& pool_;  // not used once it is over
  const std::size_t size_bytes_;
  const std::uint64_t count_;
  const NodeIds nodes_;
  const std::uint64_t pressed_at_start_;

  std::atomic<std::uint64_t> added_{0};
  std::atomic<std::uint64_t> populated_{0};  // of the next block; back to 0 with mutex_ held
  std::atomic<bool> cancel_{false};
  mutable platform::Mutex mutex_{platform::LockRank::kReservation};
  platform::Condition end_{platform::LockRank::kReservation};
  // Guarded by mutex_, all below.
  bool over_ = false;
  std::optional<Error> error_;
  std::vector<Degradation> degradations_;
  std::unique_ptr<std::thread> thread_;
};

}  // namespace numapool
