// A ring of blocks of one size: lent and taken back in order, all of it resident from the start.
#include "numapool/ring.hpp"

#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "memory/known_place.hpp"
#include "memory/range_placement.hpp"
#include "numapool/error.hpp"
#include "platform/process.hpp"
#include "pool/pool_parts.hpp"

namespace numapool {
namespace {

constexpr std::chrono::microseconds kSlotWait{500};

class RingImpl final : public Ring {
 public:
  RingImpl(Pool& pool, Block&& memory, std::size_t stride, const RingOptions& options)
      : pool_(pool),
        memory_(std::move(memory)),
        memory_place_(memory_.place),
        stride_(stride),
        slots_(options.count) {
    for (Slot& slot : slots_) slot.known = KnownPlace(memory_place_);
    pool_.pin();
  }

  bool try_acquire(Lease& lease) noexcept override {
    const std::lock_guard guard(lock_);
    if (closed_ || slots_[next_].lent || !slots_[next_].known.is_current()) return false;
    Slot& slot = slots_[next_];
    slot.lent = true;
    ++lent_;
    lease.region = region_of(next_);
    lease.place = slot.known.place();
    lease.keeper = this;
    lease.cookie = &slot;
    lease.dirty = slot.dirty;
    slot.dirty = true;
    next_ = next_ + 1 == slots_.size() ? 0 : next_ + 1;
    return true;
  }

  Lease acquire(std::uint64_t wait_ms, const InterruptCheck& check) override {
    Lease lease;
    const std::uint64_t begin = platform::coarse_ms();
    while (!try_acquire(lease)) {
      if (look_at_next()) continue;
      if (closed()) throw Error(ErrorKind::kClosed, "the ring is closed");
      if (platform::age_ms(platform::coarse_ms(), begin) >= wait_ms) {
        throw Error(ErrorKind::kExhausted,
                    "the next of the ring's " + std::to_string(slots_.size()) +
                        " blocks is still in use (" + std::to_string(lent()) +
                        " are); close buffers in the order they were acquired, or wait with "
                        "block=True");
      }
      std::this_thread::sleep_for(kSlotWait);
      check();
    }
    return lease;
  }

  bool give_back(void* cookie, bool) noexcept override {
    std::unique_lock guard(lock_);
    static_cast<Slot*>(cookie)->lent = false;
    --lent_;
    end_if_unused(guard);
    return false;
  }
  void tidy() noexcept override {}

  std::uint32_t lent() const noexcept override {
    const std::lock_guard guard(lock_);
    return lent_;
  }
  BlockPlace place() override {
    std::map<int, std::size_t> blocks_by_node;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (const std::optional<int> node = place_of(i).node_id) ++blocks_by_node[*node];
    }
    return place_of_most(memory_place_, blocks_by_node);
  }
  std::size_t stride_bytes() const noexcept override { return stride_; }
  bool closed() const noexcept override {
    const std::lock_guard guard(lock_);
    return closed_;
  }

  void close() noexcept override {
    std::unique_lock guard(lock_);
    closed_ = true;
    end_if_unused(guard);
  }
  void drop() noexcept override {
    std::unique_lock guard(lock_);
    closed_ = true;
    owned_ = false;
    end_if_unused(guard);
  }

 private:
  struct Slot {
    bool lent = false;
    bool dirty = false;
    KnownPlace known;
  };

  ~RingImpl() = default;

  [[nodiscard]] Region region_of(std::size_t index) const noexcept {
    return {static_cast<char*>(memory_.mapping.address()) + index * stride_,
            stride_,
            {platform::PageKind::kBase, platform::base_page_bytes()}};
  }

  // Pages were moved since the place of the next block was seen: looks again, without the lock.
  // False where there is no need to.
  bool look_at_next() {
    std::size_t index = 0;
    {
      const std::lock_guard guard(lock_);
      index = next_;
      if (closed_ || slots_[index].lent || slots_[index].known.is_current()) return false;
    }
    static_cast<void>(place_of(index));
    return true;
  }

  BlockPlace place_of(std::size_t index) {
    KnownPlace known;
    Region region;
    {
      const std::lock_guard guard(lock_);
      known = slots_[index].known;
      if (known.is_current() || memory_.size_bytes == 0) return known.place();
      region = region_of(index);
    }
    // It may ask about memory that another thread is returning meanwhile; the result is then
    // dropped.
    known = known.looked_up(region);
    const std::lock_guard guard(lock_);
    slots_[index].known = known;
    return known.place();
  }

  // The memory goes once nothing of it is lent, the object once its owner has let go as well.
  void end_if_unused(std::unique_lock<platform::SpinLock>& guard) noexcept {
    if (!closed_ || lent_ != 0) return;
    Block memory = std::move(memory_);
    memory_.size_bytes = 0;
    const bool ends = !owned_;
    Pool& pool = pool_;  // once unlocked, the owner may let go, and *this with it
    guard.unlock();
    if (memory.size_bytes != 0) {
      pool.drop_fixed(std::move(memory));
      pool.unpin();
    }
    if (ends) delete this;
  }

  Pool& pool_;
  Block memory_;
  const BlockPlace memory_place_;  // as it was taken, which the pool has in its books
  const std::size_t stride_;
  mutable platform::SpinLock lock_{platform::LockRank::kRing};  // all below
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
  std::uint32_t lent_ = 0;
  bool closed_ = false;
  bool owned_ = true;
};

}  // namespace

Ring* Ring::open(Pool& pool, const RingOptions& options, const InterruptCheck& check,
                 const Pool::Degraded& degraded) {
  if (options.block_bytes == 0 || options.count == 0)
    throw Error(ErrorKind::kInvalidArgument, "block_bytes and count must be at least 1");
  const std::size_t page = platform::base_page_bytes();
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 2;
  if (options.block_bytes > kMost - page || (options.block_bytes + page) > kMost / options.count) {
    throw Error(ErrorKind::kNoMemory, "a ring of " + std::to_string(options.count) + " times " +
                                          std::to_string(options.block_bytes) +
                                          " bytes: no address space holds that much");
  }
  const std::size_t stride = (options.block_bytes + page - 1) / page * page;
  Allocation allocation =
      pool.take_fixed(stride * options.count, options.nodes, options.strict, check);
  try {
    if (degraded) {
      for (const Degradation& one : allocation.degradations) degraded(one);
    }
    return new RingImpl(pool, std::move(allocation.block), stride, options);
  } catch (...) {
    pool.drop_fixed(std::move(allocation.block));
    throw;
  }
}

}  // namespace numapool
