// The end of a pool, and of blocks that no list takes any more.
#include <algorithm>
#include <memory>

#include "memory/nothrow_calls.hpp"
#include "memory/page_choice.hpp"
#include "memory/range_placement.hpp"
#include "pool/pool_idle.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

void PoolImpl::pin() noexcept { pins_.fetch_add(1, std::memory_order_relaxed); }

void PoolImpl::unpin() noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  pins_.fetch_sub(1, std::memory_order_acq_rel);
  end_if_unused(lock);
}

// Live leases are counted under the shards' locks. A thread that finds a lock free has seen
// everything that its last holder did.
void PoolImpl::end_if_unused(std::unique_lock<std::mutex>& lock) noexcept {
  if (!closing_ || pins_.load(std::memory_order_acquire) != 0) return;
  std::int64_t live = 0;
  for (Shard* shard = shards_; shard != nullptr; shard = shard->next) {
    const std::lock_guard guard(shard->lock);
    live += shard->live.get();
  }
  if (live != 0) return;
  lock.unlock();
  delete this;
}

void PoolImpl::close() noexcept {
  std::unique_ptr<IdleThread> idle;
  {
    const std::lock_guard guard(mutex_);
    if (closing_.exchange(true)) return;
    idle = std::move(idle_);
    room_.notify_all();
  }
  idle.reset();  // joins: the thread may be trimming
  // Releases that have not seen it are done once each shard was locked.
  for (Shard* shard = shards_; shard != nullptr; shard = shard->next) {
    const std::lock_guard guard(shard->lock);
  }
  serve_line();  // all are told
  trim(std::nullopt, std::nullopt);
  // Blocks that the trim had no memory to list are freed one by one.
  const auto leaving = [this] {
    const std::lock_guard guard(mutex_);
    return pop_leaving();
  };
  while (PoolBlock* block = leaving()) put(block);
  for (std::uint16_t slot = 0; slot < nodes_.size(); ++slot) {
    const ClassBits held = classes_held(slot);
    for (std::size_t c = 0; c < SizeClasses::kCount; ++c) {
      if (!held.test(c)) continue;
      while (PoolBlock* block = pop(slot, c)) put(block);
    }
  }
}

// The lease of a block that was lent before a fork or outlived its pool's end: its memory goes back
// to the system.
void PoolImpl::retire(PoolBlock& block) noexcept {
  const std::uint64_t bytes = block_bytes(block);
  const std::uint16_t slot = block.slot;
  Slab* const slab = block.slab;
  bool gone = true;
  if (slab == nullptr) {
    delete static_cast<OwnBlock*>(&block);
  } else {
    gone = succeeds([&] { return platform::discard(block.address, bytes); });
  }
  std::unique_ptr<Slab> unused;  // unmapped without the lock
  const std::uint64_t held = gone ? bytes : 0;
  const Spot spot = spot_here(slot);
  std::unique_lock<std::mutex> lock(mutex_);
  const bool stays = !gone && !closing_;
  if (stays) {
    block.generation = generation_;  // its pages are the child's now
  } else if (slab != nullptr) {
    unused = hollow_out(block);
  }
  held_bytes_ -= std::min(held, held_bytes_);
  books_[slot].held_bytes -= std::min(held, books_[slot].held_bytes);
  {
    const std::lock_guard guard(spot.shard.lock);
    spot.shelf.in_use_bytes.add(-static_cast<std::int64_t>(bytes));
    if (stays) file(spot, block, block.filed_ms);
    spot.shard.live.add(-1);
  }
  end_if_unused(lock);
}

// The pages of a slab's block are with the system. With the last of its blocks the slab goes: the
// caller drops it without the lock.
std::unique_ptr<Slab> PoolImpl::hollow_out(PoolBlock& block) noexcept {
  Slab& slab = *block.slab;
  block.hollow = true;
  if (++slab.hollow != slab.count) return nullptr;
  const std::uint64_t rest = slab.mapping.length() - slab.count * block_bytes(block);
  held_bytes_ -= std::min(rest, held_bytes_);
  books_[slab.slot].held_bytes -= std::min(rest, books_[slab.slot].held_bytes);
  forget_slab(&slab);
  return std::unique_ptr<Slab>(&slab);
}

void PoolImpl::forget_slab(Slab* slab) noexcept {
  std::vector<Slab*>& slabs = slabs_[slab->blocks[0].size_class];
  const auto found = std::find(slabs.begin(), slabs.end(), slab);
  if (found == slabs.end()) return;
  *found = slabs.back();
  slabs.pop_back();
}

// Counted is the mapping, which is larger than the request where pages are huge.
Allocation PoolImpl::take_fixed(std::size_t size_bytes, const NodeIds& nodes, bool strict,
                                const InterruptCheck& check) {
  const LineCare care(*this);
  const Want want = wanted(size_bytes, nodes);
  const std::uint64_t bytes = choose_pages(size_bytes, options_.page).length;
  AllocationRequest request;
  request.size_bytes = size_bytes;
  request.nodes = want.asked();
  request.page = options_.page;
  request.strict = strict;
  request.core_dump = options_.core_dump;
  const char* const remedy = "use fewer or smaller blocks, close buffers, or raise max_bytes";
  require_fits(size_bytes, bytes, remedy);
  const auto used = reserve_budget(bytes, false, false);
  if (!used) throw exhausted(bytes, "", remedy);
  try {
    Allocation allocation = allocator_.allocate(request, check);
    const std::uint16_t on =
        open_slot(allocation.block.place.node_id.value_or(want.node)).value_or(want.slot);
    allocation.block.counted = {bytes, on};
    spend_budget(bytes, *used, on);
    const Spot spot = spot_here(on);
    const std::lock_guard guard(spot.shard.lock);
    spot.shelf.in_use_bytes.add(static_cast<std::int64_t>(bytes));
    return allocation;
  } catch (...) {
    release_budget(bytes);
    throw;
  }
}

// Undoes what take_fixed() counted, whichever node the block is on now.
void PoolImpl::drop_fixed(Block&& block) noexcept {
  const LineCare care(*this);
  const Block::Counted counted = block.counted;
  block.mapping.reset();
  give_up_held(counted.bytes, counted.slot, false);
  const Spot spot = spot_here(counted.slot);
  const std::lock_guard guard(spot.shard.lock);
  spot.shelf.in_use_bytes.add(-static_cast<std::int64_t>(counted.bytes));
}

}  // namespace numapool
