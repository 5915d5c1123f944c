// Forks: the child drops what both would share.
#include <algorithm>
#include <new>
#include <utility>

#include "pool/pool_idle.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

// The child shares the pages of every block with the parent, copy on write: whichever process
// writes first gets a copy, on any node. So retained blocks are dropped (at the first slow path, as
// an exec may follow), and blocks that are lent now are not retained when they come back. Live
// blocks keep every byte. The parent's threads do not exist in the child, so mappings that they
// were about to make never come.
void PoolImpl::after_fork_in_child() noexcept {
  generation_.fetch_add(1);
  for (Shelf* shelf = shelves_; shelf != nullptr; shelf = shelf->next) {
    for (FreeList& list : shelf->lists) {
      PoolBlock* const first = list.take_all();
      if (first == nullptr) continue;
      first->next_list = leavings_;
      leavings_ = first;
    }
    shelf->retained_bytes.add(-shelf->retained_bytes.get());
  }
  for (Shard* shard = shards_; shard != nullptr; shard = shard->next) shard->drift_bytes = 0;
  told_retained_bytes_ = 0;
  pending_bytes_ = 0;
  waiters_ = 0;
  line_.leave_to_parent();
  static_cast<void>(idle_.release());  // its thread is the parent's
  idle_runs_ = false;
}

// Drops the child's mappings of memory that the parent retained; the parent's own stay. If there is
// no memory to list them, they wait for the next trim.
void PoolImpl::pick_leavings(Victims& victims) noexcept {
  try {
    while (leavings_ != nullptr) {
      PoolBlock& block = *leavings_;
      if (block.slab != nullptr) {
        victims.parts.push_back(&block);
      } else {
        victims.own.push_back(static_cast<OwnBlock*>(&block));
      }
      static_cast<void>(pop_leaving());
    }
  } catch (const std::bad_alloc&) {
  }
}

// The first block of the first list; nullptr if none is left. mutex_ is held.
PoolBlock* PoolImpl::pop_leaving() noexcept {
  PoolBlock* const block = leavings_;
  if (block == nullptr) return nullptr;
  if (block->next != nullptr) block->next->next_list = block->next_list;
  leavings_ = block->next != nullptr ? block->next : block->next_list;
  block->next = block->next_list = nullptr;
  return block;
}

}  // namespace numapool
