// Giving retained memory back to the system: blocks of their own, then whole slabs, then parts of
// slabs.
#include <algorithm>
#include <memory>
#include <new>

#include "memory/nothrow_calls.hpp"
#include "platform/process.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

std::uint64_t PoolImpl::trim(std::optional<std::uint64_t> at_least,
                             std::optional<int> node) noexcept {
  const LineCare care(*this);
  TrimPlan plan;
  plan.left = at_least.value_or(UINT64_MAX);
  if (node) {
    plan.slot = slot_of(*node);
    if (!plan.slot) return 0;
  }
  return trim(plan);
}

std::uint64_t PoolImpl::trim_within(std::uint64_t wanted, std::uint64_t most,
                                    std::optional<int> node) noexcept {
  const LineCare care(*this);
  TrimPlan plan;
  plan.left = std::min(wanted, most);
  plan.most = most;
  if (node) {
    plan.slot = slot_of(*node);
    if (!plan.slot) return 0;
  }
  const std::uint64_t freed = trim(plan);
  if (freed != 0) times_pressed_.fetch_add(1, std::memory_order_relaxed);
  return freed;
}

std::uint64_t PoolImpl::retained_bytes(std::optional<int> node) const noexcept {
  const auto only = node ? slot_of(*node) : std::nullopt;
  if (node && !only) return 0;
  const std::int64_t bytes = only ? retained_on(*only) : sum(&Shelf::retained_bytes);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
}

// First the blocks that fit into the demand, largest first; then one that covers the rest. While a
// class is searched, its lists are taken off, and threads that miss there wait for the mutex.
// Memory is returned after that, with no lock held.
std::uint64_t PoolImpl::trim(TrimPlan plan) noexcept {
  plan.now_ms = platform::coarse_ms();
  Victims victims;
  try {
    const std::lock_guard guard(mutex_);
    pick_leavings(victims);
    const ClassBits held = classes_held(plan.slot);
    if (held.none()) plan.left = 0;
    for (std::size_t c = SizeClasses::kCount; c-- > 0 && plan.left != 0;) {
      if (held.test(c)) pick_whole(c, plan, false, victims);
    }
    for (std::size_t c = 0; c < SizeClasses::kMostCoarse && plan.left != 0; ++c) {
      if (held.test(c) && uses_slabs(c)) pick_whole(c, plan, true, victims);
    }
    for (std::size_t c = SizeClasses::kMostCoarse; c-- > 0 && plan.left != 0;) {
      if (held.test(c) && uses_slabs(c)) pick_parts(c, plan, victims);
    }
    for (std::size_t c = 0; c < SizeClasses::kCount && plan.left != 0; ++c) {
      if (held.test(c)) pick_whole(c, plan, true, victims);
    }
  } catch (const std::exception&) {
    // No memory for the list of victims: those that are on it go.
  }
  return free_own(victims.own) + free_slabs(victims.slabs) + free_parts(victims.parts);
}

void PoolImpl::trim_idle() noexcept {
  const LineCare care(*this);
  look_for_moves();
  TrimPlan plan;
  plan.left = UINT64_MAX;
  plan.unused_since_ms = options_.idle_ms;
  trim(plan);
}

// Takes the lists of a class off all shards, newest first in each.
std::vector<PoolImpl::Found> PoolImpl::detach(std::size_t size_class, const TrimPlan& plan) {
  std::vector<Found> found;
  bool fits = true;
  for (std::uint16_t slot = 0; slot < nodes_.size() && fits; ++slot) {
    if (plan.slot && *plan.slot != slot) continue;
    each_holder(slot, [&](Shard& shard, Shelf& shelf) {
      if (fits && shelf.may_hold.test(size_class))
        fits = take_list(shard, shelf, size_class, found);
    });
  }
  return found;
}

// False where there is no memory to note the blocks: then this list stays, and earlier ones are the
// caller's.
bool PoolImpl::take_list(Shard& shard, Shelf& shelf, std::size_t size_class,
                         std::vector<Found>& found) noexcept {
  FreeList& list = shelf.lists[size_class];
  if (list.empty()) {
    forget_holder(shard, shelf, size_class);
    return true;
  }
  PoolBlock* first = nullptr;
  {
    const std::lock_guard guard(shard.lock);
    first = list.take_all();
  }
  const std::size_t earlier = found.size();
  try {
    for (PoolBlock* block = first; block != nullptr; block = block->next)
      found.push_back({block, &shard});
    return true;
  } catch (const std::bad_alloc&) {
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(earlier), found.end());
    const std::lock_guard guard(shard.lock);
    if (first != nullptr) list.push_all_below(*first);
    return false;
  }
}

// The doomed are uncounted, the others go back to where they were, in their order.
void PoolImpl::put_back(const std::vector<Found>& found) noexcept {
  for (std::size_t end = found.size(); end > 0;) {
    Shard& shard = *found[end - 1].shard;
    const std::lock_guard guard(shard.lock);
    // A few at a time, so that the shard's users do not wait.
    for (int many = 0; end > 0 && found[end - 1].shard == &shard && many < 64; ++many) {
      PoolBlock& block = *found[--end].block;
      Shelf& shelf = *shard.shelves[block.slot].load(std::memory_order_relaxed);
      if (block.doomed) {
        const auto bytes = static_cast<std::int64_t>(block_bytes(block));
        shelf.retained_bytes.add(-bytes);
        shard.drift_bytes -= bytes;
        continue;
      }
      shelf.lists[block.size_class].push_below(block);
    }
  }
}

// Blocks with their own mapping, and slabs without a live block. `last_resort`: one that is larger
// than the rest of the demand.
void PoolImpl::pick_whole(std::size_t size_class, TrimPlan& plan, bool last_resort,
                          Victims& victims) {
  const std::vector<Found> found = detach(size_class, plan);
  if (found.empty()) return;
  try {
    const auto fits = [&](std::uint64_t bytes) {
      return plan.left != 0 && bytes <= plan.most && (last_resort || bytes <= plan.left);
    };
    const auto goes = [&](std::uint64_t bytes) {
      plan.left -= std::min(plan.left, bytes);
      plan.most -= std::min(plan.most, bytes);
    };
    std::vector<OwnBlock*> own;
    std::vector<Slab*> slabs;
    for (const Found& one : found) {
      PoolBlock& block = *one.block;
      if (block.slab == nullptr) {
        if (plan.takes(block.filed_ms)) own.push_back(static_cast<OwnBlock*>(&block));
        continue;
      }
      Slab& slab = *block.slab;
      if (slab.free_now++ == 0) {
        slab.newest_ms = block.filed_ms;
        slabs.push_back(&slab);
      } else {
        slab.newest_ms = std::max(slab.newest_ms, block.filed_ms);
      }
    }
    std::sort(own.begin(), own.end(),
              [](const OwnBlock* a, const OwnBlock* b) { return a->filed_ms < b->filed_ms; });
    std::sort(slabs.begin(), slabs.end(),
              [](const Slab* a, const Slab* b) { return a->newest_ms < b->newest_ms; });
    victims.own.reserve(victims.own.size() + own.size());
    victims.slabs.reserve(victims.slabs.size() + slabs.size());
    const std::uint64_t bytes = classes_.bytes(size_class);
    for (OwnBlock* const block : own) {
      if (!fits(bytes)) break;
      block->doomed = true;
      victims.own.push_back(block);
      goes(bytes);
    }
    for (Slab* const slab : slabs) {
      const std::uint64_t resident = slab->mapping.length() - slab->hollow * bytes;
      const bool whole = slab->free_now + slab->hollow == slab->count;
      slab->free_now = 0;
      if (!whole || !plan.takes(slab->newest_ms) || !fits(resident)) continue;
      for (std::uint32_t i = 0; i < slab->count; ++i) slab->blocks[i].doomed = true;
      forget_slab(slab);
      victims.slabs.push_back(slab);
      goes(resident);
    }
  } catch (const std::bad_alloc&) {
    for (const Found& one : found) {
      if (one.block->slab != nullptr) one.block->slab->free_now = 0;
    }
  }
  put_back(found);
}

// Free blocks of slabs that are otherwise in use.
void PoolImpl::pick_parts(std::size_t size_class, TrimPlan& plan, Victims& victims) {
  const std::vector<Found> found = detach(size_class, plan);
  if (found.empty()) return;
  const std::uint64_t bytes = classes_.bytes(size_class);
  try {
    victims.parts.reserve(victims.parts.size() + found.size());
  } catch (const std::bad_alloc&) {
    put_back(found);
    return;
  }
  for (const Found& one : found) {
    PoolBlock& block = *one.block;
    if (plan.left == 0 || bytes > plan.most) break;
    if (block.slab == nullptr) continue;
    if (!plan.takes(block.filed_ms)) continue;
    block.doomed = true;
    victims.parts.push_back(&block);
    plan.left -= std::min(plan.left, bytes);
    plan.most -= std::min(plan.most, bytes);
  }
  put_back(found);
}

std::uint64_t PoolImpl::free_own(const std::vector<OwnBlock*>& victims) noexcept {
  std::uint64_t freed = 0;
  for (OwnBlock* const block : victims) {
    const std::uint64_t bytes = block_bytes(*block);
    const std::uint16_t slot = block->slot;
    delete block;
    give_up_held(bytes, slot, true);
    freed += bytes;
  }
  return freed;
}

std::uint64_t PoolImpl::free_slabs(const std::vector<Slab*>& victims) noexcept {
  std::uint64_t freed = 0;
  for (Slab* const slab : victims) {
    const std::uint64_t bytes =
        slab->mapping.length() - slab->hollow * block_bytes(slab->blocks[0]);
    const std::uint16_t slot = slab->slot;
    delete slab;
    give_up_held(bytes, slot, true);
    freed += bytes;
  }
  return freed;
}

// khugepaged would rebuild a huge page from the rest, and so bring back the freed memory.
void PoolImpl::keep_split(Slab& slab) noexcept {
  if (slab.split.exchange(true)) return;
  try {
    // Where it fails there are no huge pages.
    static_cast<void>(platform::forbid_huge_pages(slab.mapping.address(), slab.mapping.length()));
  } catch (const std::bad_alloc&) {
    slab.split = false;  // no memory for the words of a failure: the next trim tries again
  }
}

// Runs of neighbours in one call each.
std::uint64_t PoolImpl::free_parts(std::vector<PoolBlock*>& victims) noexcept {
  std::sort(victims.begin(), victims.end(),
            [](const PoolBlock* a, const PoolBlock* b) { return a->address < b->address; });
  std::uint64_t freed = 0;
  for (std::size_t i = 0; i < victims.size();) {
    PoolBlock* const first = victims[i];
    const std::size_t bytes = block_bytes(*first);
    std::size_t end = i + 1;
    while (end < victims.size() && victims[end]->slab == first->slab &&
           victims[end]->address == first->address + (end - i) * bytes) {
      ++end;
    }
    const std::uint64_t length = (end - i) * bytes;
    keep_split(*first->slab);
    const bool gone = succeeds([&] { return platform::discard(first->address, length); });
    for (std::size_t k = i; k < end; ++k) {
      victims[k]->doomed = false;
      if (!gone) put(victims[k]);
    }
    if (gone) {
      const std::uint16_t slot = first->slab->slot;
      std::unique_ptr<Slab> unused;  // unmapped without the lock
      {
        const std::lock_guard guard(mutex_);
        for (std::size_t k = i; k < end; ++k) unused = hollow_out(*victims[k]);
      }
      give_up_held(length, slot, true);
      freed += length;
    }
    i = end;
  }
  return freed;
}

}  // namespace numapool
