// Retained blocks off the fast path: other CPUs' lists, and blocks that may have moved.
#include <algorithm>
#include <mutex>
#include <utility>

#include "memory/range_placement.hpp"
#include "numapool/error.hpp"
#include "platform/process.hpp"
#include "platform/thread.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
// Blocks that one thread takes and another gives back gather on the other's CPU. To look for each
// of them by itself costs ten times as much as a hit, so they come over several at a time.
//
// They are on no list meanwhile. The mutex keeps away whoever has to see all of them: trims, forks,
// and sums that are compared with a limit.
bool PoolImpl::bring_over(const Spot& to, std::size_t asked) noexcept {
  for (std::size_t c = asked; c <= classes_.last_for(asked); ++c) {
    if (!bring_class_over(to, c)) continue;
    // A request in line may be waiting for one of them: the slow path serves the line.
    return waiters_.load() == 0;
  }
  return false;
}

bool PoolImpl::bring_class_over(const Spot& to, std::size_t size_class) noexcept {
  const std::uint16_t slot = to.shelf.slot;
  FreeList& here = to.shelf.lists[size_class];
  for (std::size_t i = holders_.next(slot, 0); i != Holders::kNone;
       i = holders_.next(slot, i + 1)) {
    Shard& shard = *shard_of(i);
    Shelf& shelf = *shard.shelves[slot].load(std::memory_order_acquire);
    FreeList& list = shelf.lists[size_class];
    list.ask_for();
    if (list.empty()) continue;
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || closing_.load(std::memory_order_relaxed)) return false;
    give_top({shard, shelf}, size_class);
    give_top(to, size_class);
    Handful taken;
    const auto each = static_cast<std::int64_t>(classes_.bytes(size_class));
    {
      const std::lock_guard guard(shard.lock);
      list.take_some(taken);
      shelf.retained_bytes.add(-each * static_cast<std::int64_t>(taken.count));
    }
    if (taken.count == 0) continue;
    const std::lock_guard guard(to.shard.lock);
    if (!to.shelf.may_hold.test(size_class)) note_holder(to.shard, to.shelf, size_class);
    // What shards have told and have still to tell adds up to the same as before.
    to.shelf.retained_bytes.add(each * static_cast<std::int64_t>(taken.count));
    here.push_some(taken);
    return true;
  }
  return false;
}

// Of the class that was asked for before a larger one that will do.
PoolBlock* PoolImpl::pop_for(const Want& want, std::uint16_t slot) noexcept {
  for (std::size_t c = want.size_class; c <= classes_.last_for(want.size_class); ++c) {
    if (PoolBlock* const block = pop(slot, c)) return block;
  }
  return nullptr;
}

// This CPU's list first. The others' heads are only peeked at unless there is something.
PoolBlock* PoolImpl::pop(std::uint16_t slot, std::size_t size_class) noexcept {
  const int cpu = platform::current_cpu();
  const std::size_t here = std::min(static_cast<std::size_t>(std::max(cpu, 0)), common_.index);
  constexpr std::size_t kEnd = Holders::kNone;
  for (const auto& [from, to] : {std::pair{here, kEnd}, std::pair{std::size_t{0}, here}}) {
    for (std::size_t i = holders_.next(slot, from); i < to; i = holders_.next(slot, i + 1)) {
      if (PoolBlock* const block = pop_from(*shard_of(i), slot, size_class)) return block;
    }
  }
  return nullptr;
}

PoolBlock* PoolImpl::pop_from(Shard& shard, std::uint16_t slot, std::size_t size_class) noexcept {
  Shelf& shelf = *shard.shelves[slot].load(std::memory_order_acquire);
  FreeList& list = shelf.lists[size_class];
  if (list.empty()) return nullptr;
  const auto bytes = static_cast<std::int64_t>(classes_.bytes(size_class));
  const std::lock_guard guard(shard.lock);
  PoolBlock* const block = list.pop();
  if (block == nullptr) return nullptr;
  shelf.retained_bytes.add(-bytes);
  shard.drift_bytes -= bytes;
  return block;
}

void PoolImpl::put(PoolBlock*& taken) noexcept {
  PoolBlock& block = *std::exchange(taken, nullptr);
  const Spot spot = spot_here(block.slot);
  give_top(spot, block.size_class);
  bool retained = false;
  {
    const std::lock_guard guard(spot.shard.lock);
    retained = !closing_.load(std::memory_order_relaxed) &&
               block.generation == generation_.load(std::memory_order_relaxed);
    if (retained) file(spot, block, block.filed_ms);
    // retire() takes it for a lease that comes back.
    if (!retained) {
      spot.shard.live.add(1);
      spot.shelf.in_use_bytes.add(static_cast<std::int64_t>(block_bytes(block)));
    }
  }
  if (!retained) retire(block);
}

// A retained block that is verified to be on the slot's node. With `strict`, every page is checked;
// else only pages that may have moved since the last check.
PoolBlock* PoolImpl::take_retained(const Want& want, std::uint16_t slot) {
  while (PoolBlock* block = pop_for(want, slot)) {
    bool there = false;
    try {
      there = still_there(*block, want.strict);
    } catch (...) {
      put(block);
      throw;
    }
    if (there) return block;
    const bool comes_round = want.strict && block->slot == slot;  // split: found here again
    put(block);                                                   // under the node where it is
    if (comes_round) return nullptr;
  }
  return nullptr;
}

bool PoolImpl::still_there(PoolBlock& block, bool strict) {
  const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed);
  if (block.epoch == epoch && !strict) return true;
  const Region region = region_of(block);
  const auto precision = strict ? platform::Precision::kExact : platform::Precision::kSampled;
  Placement seen = look(region.address, region.length, region.pages, precision);
  if (seen.not_resident_bytes != 0) {  // swapped out
    const platform::Status back = platform::populate(region.address, region.length, region.pages);
    if (!back) throw Error(ErrorKind::kNoMemory, "cannot populate: " + describe(back.failure()));
    seen = look(region.address, region.length, region.pages, precision);
  }
  if (seen.unknown_bytes != 0) {
    if (strict) {
      throw Error(ErrorKind::kUnsupported,
                  "strict=True needs to see where pages are, and this process may not "
                  "(move_pages, get_mempolicy and numa_maps are refused)");
    }
    block.epoch = epoch;
    return true;
  }
  const std::uint16_t before = block.slot;
  place_anew(block, seen);
  block.epoch = epoch;
  const bool whole =
      block.place.step == AllocationStep::kPreferred && block.place.node_id == nodes_[block.slot];
  return block.slot == before && (whole || !strict);
}

// Only its owner may: the thread that took it off a list, or the last user of its lease.
void PoolImpl::place_anew(PoolBlock& block, const Placement& seen) noexcept {
  const std::optional<int> node = seen.majority_node();
  if (!node) return;
  if (block.place.step != AllocationStep::kUnbound)
    block.place.step = seen.sole_node() ? AllocationStep::kPreferred : AllocationStep::kAny;
  block.place.node_id = *node;
  const auto slot = open_slot(*node);
  // For want of memory the block stays on the lists that it was on, and says where it is.
  if (!slot || *slot == block.slot) return;
  settle_budget(block_bytes(block), block.slot, *slot);
  block.slot = *slot;
}

// After its lease was migrated.
void PoolImpl::look_again(PoolBlock& block) noexcept {
  try {
    place_anew(block, placement_of(region_of(block)));
  } catch (const std::exception&) {
    block.epoch = 0;  // no memory to look now: looked at before it is lent again
  }
}

// A migration moves the whole huge page that a block of a slab lies in, and its neighbours with it.
void PoolImpl::moved(void* cookie) noexcept {
  if (static_cast<PoolBlock*>(cookie)->slab != nullptr)
    epoch_.fetch_add(1, std::memory_order_relaxed);
}

// The system counts the pages that it moves, machine-wide. After such an event, every retained
// block is checked once before it is lent.
void PoolImpl::look_for_moves() noexcept {
  const std::uint64_t now = platform::coarse_ms();
  std::uint64_t last = looked_ms_.load(std::memory_order_relaxed);
  if (platform::age_ms(now, last) < kLookEvery || !looked_ms_.compare_exchange_strong(last, now))
    return;
  const std::uint64_t moves = platform::page_moves();
  if (page_moves_.exchange(moves) != moves) epoch_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace numapool
