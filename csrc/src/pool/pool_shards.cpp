// A pool's shards and shelves, which are made when a CPU first needs them, and sums over them.
#include <memory>
#include <new>
#include <utility>

#include "pool/pool_impl.hpp"

namespace numapool {

// One shard has every node that is online, and others once they are: for CPUs that came online
// later, and for those that find no memory for a shard of their own.
void PoolImpl::make_common_shard(const Topology& machine) {
  common_.index = shard_of_cpu_.size();
  common_.shelves = std::make_unique<std::atomic<Shelf*>[]>(nodes_.size());
  shards_ = &common_;
  for (const Node& node : machine.nodes())
    add_shelf(common_, std::make_unique<Shelf>(), slot_of(node.node_id).value());
}

std::optional<std::uint16_t> PoolImpl::open_slot(int node) noexcept {
  const std::optional<std::uint16_t> slot = slot_of(node);
  if (!slot || common_.shelves[*slot].load(std::memory_order_acquire) != nullptr) return slot;
  return make_shelf(common_, *slot) != nullptr ? slot : std::nullopt;
}

void PoolImpl::drop_shards() noexcept {
  for (Shelf* shelf = shelves_; shelf != nullptr;) delete std::exchange(shelf, shelf->next);
  for (Shard* shard = shards_; shard != nullptr;) {
    Shard* const next = shard->next;
    if (shard != &common_) delete shard;
    shard = next;
  }
}

// With the mutex held, so that close() and forks see every shard that a thread may lock.
Shard* PoolImpl::make_shard(std::size_t cpu) noexcept {
  try {
    auto made = std::make_unique<Shard>();
    made->index = cpu;
    made->shelves = std::make_unique<std::atomic<Shelf*>[]>(nodes_.size());
    const std::lock_guard guard(mutex_);
    if (Shard* const there = shard_of_cpu_[cpu].load()) return there;
    made->next = shards_.load();
    shards_.store(made.get(), std::memory_order_release);
    shard_of_cpu_[cpu].store(made.get(), std::memory_order_release);
    return made.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Shelf* PoolImpl::make_shelf(Shard& shard, std::uint16_t slot) noexcept {
  try {
    auto made = std::make_unique<Shelf>();
    const std::lock_guard guard(mutex_);
    if (Shelf* const there = shard.shelves[slot].load()) return there;
    return add_shelf(shard, std::move(made), slot);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Shelf* PoolImpl::add_shelf(Shard& shard, std::unique_ptr<Shelf> made, std::uint16_t slot) noexcept {
  made->slot = slot;
  made->next = shelves_.load();
  shelves_.store(made.get(), std::memory_order_release);
  shard.shelves[slot].store(made.get(), std::memory_order_release);
  return made.release();
}

PoolImpl::Spot PoolImpl::make_spot(std::size_t cpu, std::uint16_t slot) noexcept {
  Shard* shard = shard_of(cpu);
  if (shard == nullptr) shard = make_shard(cpu);
  if (shard != nullptr) {
    Shelf* shelf = shard->shelves[slot].load(std::memory_order_acquire);
    if (shelf == nullptr) shelf = make_shelf(*shard, slot);
    if (shelf != nullptr) return {*shard, *shelf};
  }
  return {common_, *common_.shelves[slot].load(std::memory_order_relaxed)};
}

// A first block of its class since a trim saw none.
void PoolImpl::note_holder(const Shard& shard, Shelf& shelf, std::size_t size_class) noexcept {
  shelf.may_hold.set(size_class);
  holders_.set(shelf.slot, shard.index);
}

// Without memory for it, the list stays as it is.
void PoolImpl::give_top(const Spot& to, std::size_t size_class) noexcept {
  FreeList& list = to.shelf.lists[size_class];
  if (list.top() != nullptr) return;
  try {
    auto made = std::make_unique<ListTop>();
    const std::lock_guard guard(to.shard.lock);
    list.give_top(made);
  } catch (const std::bad_alloc&) {
    return;
  }
}

void PoolImpl::forget_holder(Shard& shard, Shelf& shelf, std::size_t size_class) noexcept {
  const std::lock_guard guard(shard.lock);
  if (!shelf.lists[size_class].empty()) return;
  shelf.may_hold.reset(size_class);
  if (shelf.may_hold.none()) holders_.reset(shelf.slot, shard.index);
}

ClassBits PoolImpl::classes_held(std::optional<std::uint16_t> only) noexcept {
  ClassBits held;
  for (std::uint16_t slot = 0; slot < nodes_.size(); ++slot) {
    if (only && *only != slot) continue;
    each_holder(slot, [&](Shard&, Shelf& shelf) { held.add(shelf.may_hold); });
  }
  return held;
}

std::int64_t PoolImpl::sum(Tally Shelf::* tally) const noexcept {
  std::int64_t total = 0;
  for (const Shelf* shelf = shelves_; shelf != nullptr; shelf = shelf->next)
    total += (shelf->*tally).get();
  return total;
}

std::int64_t PoolImpl::retained_on(std::uint16_t slot) const noexcept {
  std::int64_t bytes = 0;
  for (const Shelf* shelf = shelves_; shelf != nullptr; shelf = shelf->next) {
    if (shelf->slot == slot) bytes += shelf->retained_bytes.get();
  }
  return bytes;
}

std::size_t PoolImpl::shelves() const noexcept {
  std::size_t count = 0;
  for (const Shelf* shelf = shelves_; shelf != nullptr; shelf = shelf->next) ++count;
  return count;
}

}  // namespace numapool
