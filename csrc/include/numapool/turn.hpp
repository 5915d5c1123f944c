// Waiting for a pool's memory without a thread: a turn in the pool's line, and the box into which
// it is put when it came up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "numapool/allocator.hpp"
#include "numapool/buffer.hpp"
#include "numapool/error.hpp"
#include "platform/locks.hpp"
#include "platform/pressure.hpp"

namespace numapool {

// The caller's own, which comes back with the turn.
struct TurnMark {
  std::uint64_t key = 0;
  bool zeroed = false;
};

// What a request in line came to. Whoever takes it out of the box owns it: `lease` is to be given
// back, and is if it is still there when the turn goes.
struct Turn {
  Turn() = default;
  virtual ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  TurnMark mark;
  std::size_t size_bytes = 0;
  std::optional<Lease> lease;
  std::optional<Error> error;  // where there is no lease
  std::vector<Degradation> degradations;

 private:
  friend class TurnBox;
  std::shared_ptr<Turn> next_;
};

// Thread-safe. One for each event loop: its descriptor is readable while there is something in it.
// In the child of a fork it is silent, for it shares the descriptor with the parent.
class TurnBox final : private platform::ForkOwner {
 public:
  TurnBox();
  ~TurnBox();

  void post(std::shared_ptr<Turn> turn) noexcept;  // takes no memory
  // Everything that was posted, in order.
  [[nodiscard]] std::vector<std::shared_ptr<Turn>> take();
  [[nodiscard]] int descriptor() const noexcept { return bell_.descriptor(); }

 private:
  void after_fork_in_child() noexcept override { silent_ = true; }

  mutable platform::Mutex mutex_{platform::LockRank::kTurnBox};
  std::shared_ptr<Turn> first_;
  Turn* last_ = nullptr;
  std::size_t count_ = 0;
  bool silent_ = false;
  platform::Bell bell_;
};

}  // namespace numapool
