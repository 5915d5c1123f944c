// The locks of the library. A fork takes all of them, so that its child, which has none of the
// other threads, finds each lock free and the data behind it consistent.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>

#include "platform/process.hpp"

namespace numapool::platform {

// The order for a thread that takes several locks, and for a fork, which takes all. A thread holds
// at most one lock of each rank. While it holds one, it may create and destroy only locks of later
// ranks. A thread that holds a lock never waits for Python's GIL.
enum class LockRank : std::uint8_t {
  kDirectReads,     // src/stream/direct_gate.cpp: direct reads in flight, which a fork waits for
  kMonitorControl,  // src/pressure/monitor_impl.hpp: start and stop, one at a time
  kMonitorTrim,     // src/pressure/monitor_impl.hpp: attached pools, also during a trim
  kMonitorState,    // src/pressure/monitor_impl.hpp: queues, counters, the last look
  kEventQueue,      // include/numapool/pressure.hpp: events that a subscriber has not fetched
  kPressureWatch,   // linux/pressure/pressure_watch.hpp: how each source is watched
  kManyReads,       // src/stream/read_threads.cpp: which request is next
  kStream,          // src/stream/stream_state.hpp: slots and window
  kRing,            // src/pool/ring.cpp: slots; spins
  kPoolLine,        // src/pool/pool_impl.hpp: requests that wait for room without a thread
  kReservation,     // include/numapool/reservation.hpp: whether it is over, and how
  kPool,            // src/pool/pool_impl.hpp: budget, slabs, what forks left behind
  kShard,           // src/pool/pool_parts.hpp: lists and counters of one CPU; spins
  kIdleThread,      // src/pool/pool_idle.hpp: whether the thread must end
  kTurnBox,         // include/numapool/turn.hpp: outcomes that an event loop has not fetched
  kPopulate,  // src/memory/{populate,move_parts,object_memory,worker_team}.cpp: what threads found
  kLentBlocks,  // src/pool/blocks_by_address.hpp: blocks lent as plain pointers, by address; spins
  kClaims,      // bindings/claims.cpp: pages that are pinned or being moved
  kTopology,    // src/machine/current_topology.cpp: the topology as last read
  kAvailable,   // linux/memory/available.cpp: files that stay open
  kPageMoves,   // linux/machine/process.cpp: the open /proc/vmstat
  kCount,
};

// The part of a lock that lets forks find it.
class ForkLock {
 public:
  ForkLock(const ForkLock&) = delete;
  ForkLock& operator=(const ForkLock&) = delete;

  // The handlers of a fork.
  static void before_fork() noexcept;
  static void after_fork_in_parent() noexcept;
  static void after_fork_in_child() noexcept;

 protected:
  explicit ForkLock(LockRank rank) noexcept : rank_(rank) {}
  ~ForkLock() = default;

  // Called in the last line of a constructor and the first of the destructor: a listed lock is
  // complete.
  void enlist() noexcept;
  void leave() noexcept;
  // The lock of the list itself, which a fork holds from beginning to end.
  [[nodiscard]] std::mutex& list_mutex() const noexcept;

 private:
  virtual void lock_for_fork() noexcept = 0;
  virtual void unlock_after_fork() noexcept = 0;
  // Called with every lock held, before any is released:
  virtual void tell_parent() noexcept {}
  virtual void tell_child() noexcept {}

  ForkLock* previous_ = nullptr;
  ForkLock* next_ = nullptr;
  const LockRank rank_;
};

// All locks, by rank.
struct ForkLocks {
  struct List {
    std::mutex mutex;  // before the locks of its own rank, after those of earlier ranks
    ForkLock* first = nullptr;
  };
  std::array<List, static_cast<std::size_t>(LockRank::kCount)> lists;
};
inline ForkLocks fork_locks;
// False if this system has no forks, or there is no memory for the handler: forks then work as if
// there were no lock.
inline const bool forks_take_locks =
    on_fork(ForkLock::before_fork, ForkLock::after_fork_in_parent, ForkLock::after_fork_in_child);

inline std::mutex& ForkLock::list_mutex() const noexcept {
  return fork_locks.lists[static_cast<std::size_t>(rank_)].mutex;
}

inline void ForkLock::enlist() noexcept {
  ForkLocks::List& list = fork_locks.lists[static_cast<std::size_t>(rank_)];
  const std::lock_guard guard(list.mutex);
  next_ = list.first;
  if (next_ != nullptr) next_->previous_ = this;
  list.first = this;
}

inline void ForkLock::leave() noexcept {
  ForkLocks::List& list = fork_locks.lists[static_cast<std::size_t>(rank_)];
  const std::lock_guard guard(list.mutex);
  if (next_ != nullptr) next_->previous_ = previous_;
  (previous_ != nullptr ? previous_->next_ : list.first) = next_;
}

inline void ForkLock::before_fork() noexcept {
  for (ForkLocks::List& list : fork_locks.lists) {
    list.mutex.lock();
    for (ForkLock* one = list.first; one != nullptr; one = one->next_) one->lock_for_fork();
  }
}

inline void ForkLock::after_fork_in_parent() noexcept {
  for (const ForkLocks::List& list : fork_locks.lists) {
    for (ForkLock* one = list.first; one != nullptr; one = one->next_) one->tell_parent();
  }
  for (std::size_t i = fork_locks.lists.size(); i > 0; --i) {
    ForkLocks::List& list = fork_locks.lists[i - 1];
    for (ForkLock* one = list.first; one != nullptr; one = one->next_) one->unlock_after_fork();
    list.mutex.unlock();
  }
}

inline void ForkLock::after_fork_in_child() noexcept {
  for (const ForkLocks::List& list : fork_locks.lists) {
    for (ForkLock* one = list.first; one != nullptr; one = one->next_) one->tell_child();
  }
  for (std::size_t i = fork_locks.lists.size(); i > 0; --i) {
    ForkLocks::List& list = fork_locks.lists[i - 1];
    for (ForkLock* one = list.first; one != nullptr; one = one->next_) one->unlock_after_fork();
    list.mutex.unlock();
  }
}

// What the owner of a mutex is told of a fork.
class ForkOwner {
 public:
  // Its mutex is `held`; a condition variable may be waited for with it.
  virtual void before_fork(std::unique_lock<std::mutex>& held) noexcept { static_cast<void>(held); }
  // Every lock of the library is held. The function must not take, create or destroy a lock, or
  // free memory.
  virtual void after_fork_in_parent() noexcept {}
  virtual void after_fork_in_child() noexcept {}

 protected:
  ~ForkOwner() = default;
};

class Mutex final : public std::mutex, private ForkLock {
 public:
  explicit Mutex(LockRank rank) noexcept : ForkLock(rank) { enlist(); }
  ~Mutex() { leave(); }

  // From the end of the owner's constructor to the beginning of its destructor.
  void tell_of_forks(ForkOwner& owner) noexcept {
    const std::lock_guard guard(list_mutex());
    owner_ = &owner;
  }
  void tell_no_more() noexcept {
    const std::lock_guard guard(list_mutex());
    owner_ = nullptr;
  }

 private:
  void lock_for_fork() noexcept override {
    std::unique_lock<std::mutex> held(*this);
    if (owner_ != nullptr) owner_->before_fork(held);
    held.release();
  }
  void unlock_after_fork() noexcept override { unlock(); }
  void tell_parent() noexcept override {
    if (owner_ != nullptr) owner_->after_fork_in_parent();
  }
  void tell_child() noexcept override {
    if (owner_ != nullptr) owner_->after_fork_in_child();
  }

  ForkOwner* owner_ = nullptr;
};

// To be held for a few instructions. A waiter yields, as the holder may have lost its CPU.
class SpinLock final : private ForkLock {
 public:
  explicit SpinLock(LockRank rank) noexcept : ForkLock(rank) { enlist(); }
  ~SpinLock() { leave(); }

  void lock() noexcept {
    while (!try_lock()) wait_until_free();
  }
  [[nodiscard]] bool try_lock() noexcept { return !flag_.test_and_set(std::memory_order_acquire); }
  void unlock() noexcept { flag_.clear(std::memory_order_release); }

 private:
  void lock_for_fork() noexcept override { lock(); }
  void unlock_after_fork() noexcept override { unlock(); }

  void wait_until_free() const noexcept {
    for (int spins = 0; flag_.test(std::memory_order_relaxed); ++spins) {
      if (spins > 100) std::this_thread::yield();
    }
  }

  std::atomic_flag flag_;
};

// Created anew in the child, where the waiting threads do not exist. Has the rank of its mutex.
class Condition final : public std::condition_variable, private ForkLock {
 public:
  explicit Condition(LockRank rank) noexcept : ForkLock(rank) { enlist(); }
  ~Condition() { leave(); }

 private:
  void lock_for_fork() noexcept override {}
  void unlock_after_fork() noexcept override {}
  void tell_child() noexcept override {
    ::new (static_cast<void*>(static_cast<std::condition_variable*>(this))) std::condition_variable;
  }
};

}  // namespace numapool::platform
