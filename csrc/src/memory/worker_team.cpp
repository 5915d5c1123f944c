// Threads that share a job piece by piece, and the wait for them.
#include "memory/worker_team.hpp"

#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "platform/locks.hpp"
#include "platform/thread.hpp"

namespace numapool {
namespace {

constexpr std::chrono::milliseconds kTeamCheck{50};

// How many of the threads still work.
class StillWorking {
 public:
  void add() {
    const std::lock_guard guard(mutex_);
    ++count_;
  }
  void remove() noexcept {
    const std::lock_guard guard(mutex_);
    if (--count_ == 0) idle_.notify_all();
  }
  void wait_for_none(const InterruptCheck& check) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!idle_.wait_for(lock, kTeamCheck, [this] { return count_ == 0; })) {
      lock.unlock();
      check();
      lock.lock();
    }
  }

 private:
  platform::Mutex mutex_{platform::LockRank::kPopulate};
  platform::Condition idle_{platform::LockRank::kPopulate};
  int count_ = 0;
};

}  // namespace

bool run_by_threads(SharedJob& job, std::size_t count, std::span<const int> cpus,
                    const InterruptCheck& check) {
  StillWorking running;
  std::vector<std::jthread> threads;  // joined however this ends
  threads.reserve(count);
  try {
    try {
      const platform::NoSignals none;
      for (std::size_t i = 0; i < count; ++i) {
        running.add();
        threads.emplace_back([&job, &running, cpus] {
          platform::prepare_worker(cpus);
          while (job.do_piece()) continue;
          running.remove();
        });
      }
    } catch (const std::system_error&) {
      running.remove();
    }
    if (threads.empty()) return false;
    running.wait_for_none(check);
  } catch (...) {
    job.stop();
    throw;
  }
  return true;
}

}  // namespace numapool
