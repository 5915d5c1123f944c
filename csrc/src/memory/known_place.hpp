// The known place of a region, valid until this library moves pages again.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>

#include "numapool/buffer.hpp"

namespace numapool {

// How often this library has moved pages, of any memory: moving a page also moves memory that
// shares it.
inline std::atomic<std::uint32_t> own_moves{0};

// Counts a move after it ended, successful or not.
struct CountedMove {
  CountedMove() = default;
  ~CountedMove() { own_moves.fetch_add(1, std::memory_order_release); }
  CountedMove(const CountedMove&) = delete;
  CountedMove& operator=(const CountedMove&) = delete;
};

// Not thread-safe.
class KnownPlace {
 public:
  KnownPlace() = default;
  explicit KnownPlace(const BlockPlace& place) noexcept
      : place_(place), moves_(own_moves.load(std::memory_order_acquire)) {}

  [[nodiscard]] const BlockPlace& place() const noexcept { return place_; }
  [[nodiscard]] bool is_current() const noexcept {
    return moves_ == own_moves.load(std::memory_order_acquire);
  }
  // The region's current place. If it cannot be seen, the known place is kept.
  [[nodiscard]] KnownPlace looked_up(const Region& region) const;

 private:
  BlockPlace place_;
  std::uint32_t moves_ = 0;
};

// The place of equally sized blocks that were placed together as `one`: the node of most of them.
[[nodiscard]] BlockPlace place_of_most(const BlockPlace& one,
                                       const std::map<int, std::size_t>& blocks_by_node) noexcept;

}  // namespace numapool
