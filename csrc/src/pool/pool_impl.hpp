// The pool's state and its jobs; each job has a file: pool, pool_shards, pool_grow, pool_room,
// pool_cut, pool_place, pool_near, pool_budget, pool_trim, pool_line, pool_life, pool_fork,
// pool_idle.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "numapool/error.hpp"
#include "numapool/pool.hpp"
#include "platform/process.hpp"
#include "platform/thread.hpp"
#include "pool/pool_holders.hpp"
#include "pool/pool_parts.hpp"
#include "pool/size_class.hpp"

namespace numapool {

class IdleThread;

// Under `mutex_` and a shard's lock the system is asked for nothing but the coarse clock, and
// Python is not called.
class PoolImpl final : public Pool, private platform::ForkOwner {
 public:
  // `allocator` may follow the running machine; `machine` is the machine as it sees it now.
  PoolImpl(Allocator allocator, const Topology& machine, const PoolOptions& options);

  bool try_acquire(std::size_t size_bytes, int node, Lease& lease) noexcept override;
  bool try_acquire_near(std::size_t size_bytes, std::span<const int> nodes,
                        Lease& lease) noexcept override;
  Lease acquire(const AcquireRequest& request, const InterruptCheck& check,
                const Degraded& degraded) override;
  std::shared_ptr<Turn> join_line(const AcquireRequest& request, std::shared_ptr<TurnBox> box,
                                  const TurnMark& mark, Lease& lease, const InterruptCheck& check,
                                  const Degraded& degraded) override;
  bool leave_line(Turn& turn) noexcept override;
  std::uint64_t reserve(std::size_t size_bytes, const NodeIds& nodes, std::uint64_t already,
                        const InterruptCheck& check, const Degraded& degraded) override;
  NodeIds nodes_to_reserve(std::size_t size_bytes, const NodeIds& nodes) override;
  std::uint64_t times_pressed() const noexcept override {
    return times_pressed_.load(std::memory_order_relaxed);
  }
  std::uint64_t trim(std::optional<std::uint64_t> at_least,
                     std::optional<int> node) noexcept override;
  std::uint64_t trim_within(std::uint64_t wanted, std::uint64_t most,
                            std::optional<int> node) noexcept override;
  std::uint64_t retained_bytes(std::optional<int> node) const noexcept override;
  PoolStatistics statistics() override;
  const PoolOptions& options() const noexcept override { return options_; }
  bool give_back(void* cookie, bool moved) noexcept override;
  void moved(void* cookie) noexcept override;
  void tidy() noexcept override;
  void close() noexcept override;
  bool closed() const noexcept override { return closing_.load(std::memory_order_acquire); }
  void pin() noexcept override;
  void unpin() noexcept override;
  Allocation take_fixed(std::size_t size_bytes, const NodeIds& nodes, bool strict,
                        const InterruptCheck& check) override;
  void drop_fixed(Block&& block) noexcept override;

  // Trims memory that was unused for `idle_ms` (pool_idle.cpp).
  void trim_idle() noexcept;

  // How many shelves there are by now, for tests.
  [[nodiscard]] std::size_t shelves() const noexcept;

 private:
  struct Want {  // one acquire or reserve
    std::size_t size_class = 0;
    int node = 0;
    std::uint16_t slot = 0;
    bool strict = false;
    bool reserves = false;     // for reserve(): a new block that stays, none that is retained
    bool named = false;        // the caller named the node
    bool looked = false;       // `machine` is as the machine is now
    SharedTopology machine;    // as far as is known
    std::vector<int> members;  // where several nodes were named: nearest first, from `node` on

    [[nodiscard]] NodeIds asked() const {
      return members.empty() ? NodeIds(node) : NodeIds(members);
    }
    [[nodiscard]] bool is_for(int other) const noexcept {
      return members.empty() ? other == node
                             : std::find(members.begin(), members.end(), other) != members.end();
    }
  };
  // The usable nodes, those that were asked for first, then by distance, on the machine as it was.
  struct Order {
    SharedTopology machine;
    std::vector<int> nodes;
    std::size_t asked = 1;  // how many of them were asked for
  };
  // Of each slot its place in the order by distance from one of them; kNoRank: it cannot be used.
  struct Ranks {
    SharedTopology machine;
    std::vector<std::uint16_t> by_slot;
    std::unique_ptr<Ranks> former;  // another thread may read it at any time
  };
  // Where a new block may come from: one node, the nodes as far as that one, or any.
  enum class Reach { kNode, kAsFarAs, kAnywhere };
  struct Got {
    PoolBlock* block = nullptr;
    std::uint32_t made = 0;  // how many blocks are new; 0: it was retained
  };
  struct Found {  // a block off a list, and whose list
    PoolBlock* block = nullptr;
    Shard* shard = nullptr;
  };
  struct Spot {
    Shard& shard;
    Shelf& shelf;
  };
  struct TrimPlan {
    std::uint64_t left = 0;           // bytes still to give back
    std::uint64_t most = UINT64_MAX;  // that may go
    std::optional<std::uint16_t> slot;
    std::optional<std::uint32_t> unused_since_ms;
    std::uint64_t now_ms = 0;

    // Whether a block that came back at `filed_ms` may be trimmed. The clock is read before the
    // lists are taken off, so a block filed after that has age 0.
    [[nodiscard]] bool takes(std::uint64_t filed_ms) const noexcept {
      return !unused_since_ms || platform::age_ms(now_ms, filed_ms) >= *unused_since_ms;
    }
  };
  struct Victims {
    std::vector<OwnBlock*> own;
    std::vector<Slab*> slabs;
    std::vector<PoolBlock*> parts;  // of slabs that stay
  };
  class Budget;
  struct Waiter;
  // Those who wait without a thread, in the order in which they came (pool_line.cpp).
  struct Line {
    Waiter* first = nullptr;
    Waiter* last = nullptr;
    Waiter* lost = nullptr;  // of the parent of a fork: dropped when there is a chance
    bool served = false;     // a thread is at it
    bool again = false;      // there may be room that it has not seen
    std::thread::id server;  // which
    std::atomic<std::size_t> length{0};

    ~Line();
    static void drop(Waiter* first) noexcept;
    void add(std::shared_ptr<Waiter> waiter) noexcept;
    [[nodiscard]] std::shared_ptr<Waiter> remove(Waiter& waiter) noexcept;
    void leave_to_parent() noexcept;
  };
  // At the end of whatever may make room, errors included: serves the line. No lock is held then.
  class LineCare {
   public:
    explicit LineCare(PoolImpl& pool) noexcept : pool_(pool) {}
    ~LineCare() {
      if (pool_.line_.length.load() != 0) pool_.serve_line();
    }
    LineCare(const LineCare&) = delete;
    LineCare& operator=(const LineCare&) = delete;

   private:
    PoolImpl& pool_;
  };

  // pool.cpp
  ~PoolImpl();
  // Of a node that is online or may come.
  [[nodiscard]] std::optional<std::uint16_t> slot_of(int node) const noexcept;
  // The same, to file blocks under; mutex_ is not held. Also empty if memory runs out.
  [[nodiscard]] std::optional<std::uint16_t> open_slot(int node) noexcept;
  [[nodiscard]] int node_here(const Topology& machine) const;
  template <bool waits>
  [[nodiscard]] bool lend(std::size_t size_bytes, int node, Lease& lease) noexcept;
  template <bool waits>
  [[nodiscard]] bool take_back(PoolBlock& block) noexcept;
  [[nodiscard]] std::size_t block_bytes(const PoolBlock& block) const noexcept {
    return classes_.bytes(block.size_class);
  }
  [[nodiscard]] Region region_of(const PoolBlock& block) const noexcept;
  void fill(Lease& lease, PoolBlock& block, int node) noexcept {
    if (block.slab == nullptr) {
      lease.region = static_cast<const OwnBlock&>(block).mapping.region();
    } else {
      lease.region.address = block.address;
      lease.region.length = block_bytes(block);
      lease.region.pages = pages_of_parts_;
    }
    block.place.tell(node, lease.place);
    lease.keeper = this;
    lease.cookie = &block;
    lease.dirty = block.dirty;
  }
  // With the shard's lock held:
  void file(const Spot& spot, PoolBlock& block, std::uint64_t filed_ms) noexcept {
    const std::size_t size_class = block.size_class;
    Shelf& shelf = spot.shelf;
    if (!shelf.may_hold.test(size_class)) note_holder(spot.shard, shelf, size_class);
    shelf.lists[size_class].push(block, filed_ms);
    const auto bytes = static_cast<std::int64_t>(classes_.bytes(size_class));
    shelf.retained_bytes.add(bytes);
    spot.shard.drift_bytes += bytes;
  }
  [[nodiscard]] bool near_retention(Shard& shard) noexcept;
  void count_moved(std::uint16_t from, const PoolBlock& block) noexcept;

  // pool_shards.cpp
  void make_common_shard(const Topology& machine);
  void drop_shards() noexcept;
  // This CPU's shelf of the node, or the common one, which open_slot() made; mutex_ is not held.
  [[nodiscard]] Spot spot_here(std::uint16_t slot) noexcept {
    const int cpu = platform::current_cpu();
    const auto index = cpu < 0 ? shard_of_cpu_.size() : static_cast<std::size_t>(cpu);
    Shard* const shard = shard_of(index);
    if (shard == nullptr) return make_spot(index, slot);
    Shelf* const shelf = shard->shelves[slot].load(std::memory_order_acquire);
    if (shelf == nullptr) return make_spot(index, slot);
    return {*shard, *shelf};
  }
  [[nodiscard]] Spot make_spot(std::size_t cpu, std::uint16_t slot) noexcept;
  // nullptr: not made yet.
  [[nodiscard]] Shard* shard_of(std::size_t cpu) noexcept {
    if (cpu >= shard_of_cpu_.size()) return &common_;
    return shard_of_cpu_[cpu].load(std::memory_order_acquire);
  }
  [[nodiscard]] Shard* make_shard(std::size_t cpu) noexcept;
  [[nodiscard]] Shelf* make_shelf(Shard& shard, std::uint16_t slot) noexcept;
  Shelf* add_shelf(Shard& shard, std::unique_ptr<Shelf> made, std::uint16_t slot) noexcept;
  // Calls `visit` with each shard and shelf that may hold free blocks of the node.
  template <class Visit>
  void each_holder(std::uint16_t slot, const Visit& visit) {
    for (std::size_t i = holders_.next(slot, 0); i != Holders::kNone;
         i = holders_.next(slot, i + 1)) {
      Shard& shard = *shard_of(i);
      visit(shard, *shard.shelves[slot].load(std::memory_order_acquire));
    }
  }
  void note_holder(const Shard& shard, Shelf& shelf, std::size_t size_class) noexcept;
  void forget_holder(Shard& shard, Shelf& shelf, std::size_t size_class) noexcept;
  [[nodiscard]] ClassBits classes_held(std::optional<std::uint16_t> only) noexcept;
  // Sums the tallies one after another. Concurrent changes may make the sum negative.
  [[nodiscard]] std::int64_t sum(Tally Shelf::* tally) const noexcept;
  [[nodiscard]] std::int64_t retained_on(std::uint16_t slot) const noexcept;

  // pool_place.cpp: retained blocks, and where they are
  [[nodiscard]] PoolBlock* take_retained(const Want& want, std::uint16_t slot);
  [[nodiscard]] PoolBlock* pop_for(const Want& want, std::uint16_t slot) noexcept;
  [[nodiscard]] PoolBlock* pop(std::uint16_t slot, std::size_t size_class) noexcept;
  [[nodiscard]] PoolBlock* pop_from(Shard& shard, std::uint16_t slot,
                                    std::size_t size_class) noexcept;
  // Brings free blocks that may serve the class from another CPU's lists to this CPU's, which are
  // empty. False if there are none, or the slow path has to see to it.
  [[nodiscard]] bool bring_over(const Spot& to, std::size_t asked) noexcept;
  [[nodiscard]] bool bring_class_over(const Spot& to, std::size_t size_class) noexcept;
  void give_top(const Spot& to, std::size_t size_class) noexcept;
  [[nodiscard]] bool still_there(PoolBlock& block, bool strict);
  void place_anew(PoolBlock& block, const Placement& seen) noexcept;
  // Back to the lists of this CPU, or to the system where the pool has closed meanwhile: the block
  // may be gone, and the pointer is cleared.
  void put(PoolBlock*& block) noexcept;
  void look_again(PoolBlock& block) noexcept;
  void look_for_moves() noexcept;

  // pool_near.cpp: which of several nodes is nearest to a thread
  [[nodiscard]] std::optional<std::uint16_t> slot_here() const noexcept;
  void work_out_ranks(int here, const SharedTopology& machine);
  void name_members(Want& want, const NodeIds& nodes);
  void ask_of_lender(Want& want, const PoolBlock& block) const noexcept;

  // pool_grow.cpp: blocks from the system
  [[nodiscard]] std::shared_ptr<const Order> order_from(const Want& want);
  [[nodiscard]] Want wanted(std::size_t size_bytes, const NodeIds& nodes);
  [[nodiscard]] SharedTopology machine_for(int node);
  [[nodiscard]] bool finds_change(Want& want) const;
  [[nodiscard]] Got find(Want want, const InterruptCheck& check, const Degraded& degraded);
  [[nodiscard]] Got make(const Want& want, int node, Reach reach, const InterruptCheck& check,
                         const Degraded& degraded, std::string& reason);
  [[nodiscard]] bool farther_next(const Want& want, const Order& order, std::size_t at) const;
  [[nodiscard]] PoolBlock* refill(const Want& want, std::uint16_t slot);
  [[nodiscard]] bool uses_slabs(std::size_t size_class) const noexcept;
  [[nodiscard]] bool make_room_on(int node, std::uint16_t slot, std::uint64_t bytes, bool may_trim,
                                  std::string& reason);
  void remember_full(std::uint16_t slot, std::uint64_t bytes) noexcept;
  [[nodiscard]] bool recently_full(std::uint16_t slot, std::size_t bytes) noexcept;
  void remember_full_together(const Want& want, std::uint16_t farthest) noexcept;
  [[nodiscard]] bool recently_full_together(const Want& want, std::uint16_t farthest) noexcept;
  void count_lent(PoolBlock& block, const Want& want, bool hit) noexcept;
  void lend_found(Want& want, const Got& got, Lease& lease) noexcept;
  void require_open() const;

  // pool_cut.cpp
  [[nodiscard]] Got cut(Allocation&& allocation, std::size_t size_class, std::uint16_t slot);
  [[nodiscard]] PoolBlock* own(Allocation&& allocation, std::size_t size_class, std::uint16_t slot);

  // pool_budget.cpp: memory held from the system, and its limits
  [[nodiscard]] std::uint64_t used_bytes(bool reserves) const noexcept;
  // Returns what was counted as used before; empty if there is no room.
  [[nodiscard]] std::optional<std::uint64_t> reserve_budget(std::uint64_t bytes, bool reserves,
                                                            bool later);
  [[nodiscard]] bool may_fit(std::uint64_t bytes) noexcept;
  void release_budget(std::uint64_t bytes) noexcept;
  void spend_budget(std::uint64_t bytes, std::uint64_t used, std::uint16_t on) noexcept;
  void settle_budget(std::uint64_t bytes, std::uint16_t from, std::uint16_t to) noexcept;
  void give_up_held(std::uint64_t bytes, std::uint16_t slot, bool trimmed) noexcept;
  [[nodiscard]] std::uint64_t over_retention(std::uint64_t held, std::uint64_t peak) const noexcept;
  [[nodiscard]] bool retains(std::size_t size_class) noexcept;
  // Throws kExhausted where `bytes`, the memory for a request of `size_bytes`, are more than
  // max_bytes: no wait would end.
  void require_fits(std::uint64_t size_bytes, std::uint64_t bytes, const char* remedy) const;
  [[nodiscard]] Error exhausted(std::uint64_t bytes, const std::string& when,
                                const char* remedy) const;
  void wait_for_room(const InterruptCheck& check);
  void settle_retained() noexcept;

  // pool_line.cpp
  void serve_line() noexcept;
  [[nodiscard]] bool serve(Waiter& waiter) noexcept;

  // pool_trim.cpp
  std::uint64_t trim(TrimPlan plan) noexcept;
  [[nodiscard]] std::vector<Found> detach(std::size_t size_class, const TrimPlan& plan);
  [[nodiscard]] bool take_list(Shard& shard, Shelf& shelf, std::size_t size_class,
                               std::vector<Found>& found) noexcept;
  void put_back(const std::vector<Found>& found) noexcept;
  void pick_whole(std::size_t size_class, TrimPlan& plan, bool last_resort, Victims& victims);
  void pick_parts(std::size_t size_class, TrimPlan& plan, Victims& victims);
  void pick_leavings(Victims& victims) noexcept;    // pool_fork.cpp
  [[nodiscard]] PoolBlock* pop_leaving() noexcept;  // pool_fork.cpp
  std::uint64_t free_own(const std::vector<OwnBlock*>& victims) noexcept;
  std::uint64_t free_slabs(const std::vector<Slab*>& victims) noexcept;
  std::uint64_t free_parts(std::vector<PoolBlock*>& victims) noexcept;
  static void keep_split(Slab& slab) noexcept;
  void retire(PoolBlock& block) noexcept;  // gives back one block that no list takes any more
  void forget_slab(Slab* slab) noexcept;   // mutex_ is held
  [[nodiscard]] std::unique_ptr<Slab> hollow_out(PoolBlock& block) noexcept;  // mutex_ is held

  void after_fork_in_child() noexcept override;  // pool_fork.cpp

  // pool_life.cpp
  void end_if_unused(std::unique_lock<std::mutex>& lock) noexcept;

  const PoolOptions options_;
  const Allocator allocator_;
  const SizeClasses classes_;
  const bool has_slabs_;
  const platform::Pages pages_of_parts_;    // of blocks of slabs
  std::vector<int> nodes_;                  // by slot: those online, and those that may come
  std::vector<std::int32_t> slot_of_node_;  // -1: no such node
  std::vector<std::int32_t> slot_of_cpu_;   // -1: no node's

  // Shards and shelves are added with mutex_ held, and stay as long as the pool.
  std::vector<std::atomic<Shard*>> shard_of_cpu_;  // nullptr: not made yet
  Shard common_;  // for every other CPU, and for use when memory runs out
  std::vector<std::atomic<const Ranks*>> ranks_now_;  // by slot; nullptr: not worked out yet
  std::atomic<Shard*> shards_{nullptr};
  std::atomic<Shelf*> shelves_{nullptr};
  Holders holders_;

  std::atomic<bool> closing_{false};
  std::atomic<std::uint32_t> epoch_{1};
  std::atomic<std::uint64_t> looked_ms_{0};
  std::atomic<std::uint64_t> nodes_looked_ms_{0};
  std::atomic<std::uint64_t> page_moves_{0};
  std::atomic<std::int64_t> told_retained_bytes_{0};  // the sum of what shards have told
  std::atomic<std::uint32_t> waiters_{0};
  std::atomic<bool> idle_runs_{false};
  std::atomic<std::uint64_t> times_pressed_{0};
  std::atomic<std::uint64_t> pins_{1};
  std::int64_t most_drift_bytes_ = 0;

  platform::Mutex line_mutex_{platform::LockRank::kPoolLine};  // nothing is called under it
  Line line_;

  platform::Mutex mutex_{platform::LockRank::kPool};
  struct NodeBooks {
    std::uint64_t held_bytes = 0;
    std::uint64_t high_water_bytes = 0;
    std::uint64_t trimmed_bytes = 0;
    struct Full {
      std::uint64_t for_bytes = 0;  // a request of so much did not fit
      std::uint64_t until_ms = 0;
    };
    Full full;  // the node
    // It and all that are nearer to the node of that slot.
    Full full_together;
    std::uint16_t together_for = 0;
  };
  [[nodiscard]] static bool still_full(const NodeBooks::Full& full, std::uint64_t bytes) noexcept;
  // Guarded by mutex_, all below.
  std::vector<NodeBooks> books_;                     // by slot
  std::vector<std::unique_ptr<Ranks>> ranks_;        // by slot, once asked for
  std::vector<std::shared_ptr<const Order>> order_;  // by slot, once asked for
  std::uint64_t held_bytes_ = 0;
  std::uint64_t high_water_bytes_ = 0;
  std::uint64_t peak_used_bytes_ = 0;
  std::uint64_t pending_bytes_ = 0;  // in the budget, not yet mapped
  std::array<std::vector<Slab*>, SizeClasses::kMostCoarse> slabs_;
  PoolBlock* leavings_ = nullptr;             // lists that the parent of a fork retained
  std::atomic<std::uint32_t> generation_{0};  // forks since the pool was made
  platform::Condition room_{platform::LockRank::kPool};
  std::unique_ptr<IdleThread> idle_;
};

}  // namespace numapool
