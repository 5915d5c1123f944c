// Forks: no lock is held by a thread that the child does not have, and the child drops what both
// would share.
#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "platform/process.hpp"
#include "pool_idle.hpp"
#include "pool_impl.hpp"

namespace numapool {
namespace {

// Lock order: before every pool's mutex. Never destroyed: buffers may outlive static objects.
struct Registry {
  std::mutex mutex;
  std::vector<PoolImpl*> pools;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

void before() {
  registry().mutex.lock();
  for (PoolImpl* const pool : registry().pools) pool->before_fork();
}

void in_parent() {
  for (PoolImpl* const pool : registry().pools) pool->after_fork_in_parent();
  registry().mutex.unlock();
}

void in_child() {
  for (PoolImpl* const pool : registry().pools) pool->after_fork_in_child();
  registry().mutex.unlock();
}

}  // namespace

void register_pool(PoolImpl* pool) {
  static const bool watched = platform::on_fork(before, in_parent, in_child);
  static_cast<void>(watched);
  const std::lock_guard guard(registry().mutex);
  registry().pools.push_back(pool);
}

void forget_pool(PoolImpl* pool) noexcept {
  const std::lock_guard guard(registry().mutex);
  std::erase(registry().pools, pool);
}

void PoolImpl::before_fork() noexcept {
  mutex_.lock();
  for (Shard& shard : shards_) shard.lock.lock();
}

void PoolImpl::after_fork_in_parent() noexcept {
  for (Shard& shard : shards_) shard.lock.unlock();
  mutex_.unlock();
}

// The pages of every block are shared with the parent, copy on write: whoever writes first gets a
// copy, on whatever node. So retained blocks are dropped (at the first slow path, for an exec may
// follow), and blocks that are lent now are not retained when they come back. Live ones keep every
// byte. Threads of the parent are gone, and what they were about to map as well.
void PoolImpl::after_fork_in_child() noexcept {
  generation_.fetch_add(1);
  for (Shard& shard : shards_) {
    for (std::size_t slot = 0; slot < nodes_.size(); ++slot) {
      Shelf& shelf = shard.shelves[slot];
      for (std::atomic<PoolBlock*>& head : shelf.heads) {
        PoolBlock* const first = head.exchange(nullptr, std::memory_order_relaxed);
        if (first == nullptr) continue;
        first->next_list = leavings_;
        leavings_ = first;
      }
      shelf.retained_bytes.add(-shelf.retained_bytes.get());
    }
    shard.drift_bytes = 0;
  }
  told_retained_bytes_ = 0;
  pending_bytes_ = 0;
  waiters_ = 0;
  ::new (static_cast<void*>(&room_)) std::condition_variable;  // its waiters are the parent's
  static_cast<void>(idle_.release());                          // its thread is the parent's
  idle_runs_ = false;
  after_fork_in_parent();
}

// What the parent retained: the child's own mappings of it go, the parent's stay. What there is no
// memory to list waits for the next trim.
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

// The first block of the first list; nothing where none is left. mutex_ is held.
PoolBlock* PoolImpl::pop_leaving() noexcept {
  PoolBlock* const block = leavings_;
  if (block == nullptr) return nullptr;
  if (block->next != nullptr) block->next->next_list = block->next_list;
  leavings_ = block->next != nullptr ? block->next : block->next_list;
  block->next = block->next_list = nullptr;
  return block;
}

}  // namespace numapool
