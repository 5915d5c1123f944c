// Forks while other threads hold the locks of the library: the child finds each of them open.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "numapool/pool.hpp"
#include "numapool/pressure.hpp"
#include "numapool/ring.hpp"
#include "numapool/topology.hpp"
#include "platform/locks.hpp"

namespace numapool {
namespace {

using platform::LockRank;

// Whether `work` comes to its end in the child of a fork.
bool ends_in_child(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a child that hangs is killed
    work();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Repeats `work` on another thread while this one lives.
class Busy {
 public:
  explicit Busy(const std::function<void()>& work)
      : thread_([this, work] {
          while (!ends_.load()) work();
        }) {}
  ~Busy() {
    ends_ = true;
    thread_.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

template <class Lock>
void check_that_a_fork_waits_for(Lock& lock) {
  std::atomic<bool> held{false};
  std::thread holder([&] {
    const std::lock_guard guard(lock);
    held = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  while (!held) std::this_thread::yield();
  CHECK(ends_in_child([&] { const std::lock_guard guard(lock); }));
  holder.join();
  const std::lock_guard guard(lock);  // the parent's is open as well
}

struct Owner final : platform::ForkOwner {
  void before_fork(std::unique_lock<std::mutex>& held) noexcept override {
    seen = held.owns_lock() ? 1 : -1;
  }
  void after_fork_in_parent() noexcept override { seen += 10; }
  void after_fork_in_child() noexcept override { seen += 100; }
  int seen = 0;
};

}  // namespace

TEST_CASE("a fork waits for whoever holds a lock") {
  platform::Mutex mutex(LockRank::kClaims);
  platform::SpinLock spins(LockRank::kRing);
  check_that_a_fork_waits_for(mutex);
  check_that_a_fork_waits_for(spins);
}

TEST_CASE("the owner of a lock is told of forks until it wants no more") {
  platform::Mutex mutex(LockRank::kClaims);
  Owner owner;
  mutex.tell_of_forks(owner);
  CHECK(ends_in_child([&] { _exit(owner.seen == 101 ? 0 : 1); }));
  CHECK(owner.seen == 11);
  mutex.tell_no_more();
  CHECK(ends_in_child([&] { _exit(owner.seen == 11 ? 0 : 1); }));
  CHECK(owner.seen == 11);
}

TEST_CASE("nobody waits for a condition in the child") {
  platform::Mutex mutex(LockRank::kClaims);
  auto changed = std::make_unique<platform::Condition>(LockRank::kClaims);
  bool waits = false;
  bool ends = false;
  std::thread waiter([&] {
    std::unique_lock<std::mutex> lock(mutex);
    waits = true;
    changed->wait(lock, [&] { return ends; });
  });
  while ([&] {
    const std::lock_guard guard(mutex);
    return !waits;
  }()) {
    std::this_thread::yield();
  }
  // Its destruction would wait for those who wait for it, who are not in the child.
  CHECK(ends_in_child([&] { changed.reset(); }));
  {
    const std::lock_guard guard(mutex);
    ends = true;
  }
  changed->notify_all();
  waiter.join();
}

TEST_CASE("a child may use whatever other threads use at the fork") {
  PoolOptions options;
  Pool* const pool = Pool::open(std::make_shared<const Topology>(Topology::detect()), options);
  Ring* const ring = Ring::open(*pool, {4096, 2, {}, false}, [] {}, {});
  EventQueue queue;
  {
    const Busy lends([&] {
      if (Lease lease; ring->try_acquire(lease))
        static_cast<void>(lease.keeper->give_back(lease.cookie, false));
    });
    const Busy posts([&] {
      queue.post({});
      static_cast<void>(queue.dropped());
    });
    int ended = 0;
    constexpr int kForks = 50;
    for (int i = 0; i < kForks; ++i) {
      ended += ends_in_child([&] {
        static_cast<void>(ring->closed());
        static_cast<void>(queue.take());
        queue.close();
      });
      if (ended != i + 1) break;
    }
    CHECK(ended == kForks);
  }
  ring->drop();
  pool->close();
  pool->unpin();
}

TEST_CASE("a monitor does not run in the child, and may be stopped and started there") {
  const std::unique_ptr<Monitor> monitor = Monitor::make({}, {});
  monitor->start();
  CHECK(ends_in_child([&] {
    const bool ran = !monitor->running() && monitor->ran_in_parent();
    monitor->stop();
    monitor->start();
    const bool runs = monitor->running();
    monitor->stop();
    _exit(ran && runs ? 0 : 1);
  }));
  CHECK(monitor->running());
  CHECK(!monitor->ran_in_parent());
  monitor->stop();
}

}  // namespace numapool
