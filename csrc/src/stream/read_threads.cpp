// Many reads of one file in flight, by a thread for each.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "numapool/error.hpp"
#include "platform/locks.hpp"
#include "platform/thread.hpp"
#include "stream/direct_gate.hpp"
#include "stream/many_reads.hpp"

namespace numapool {
namespace {

constexpr std::chrono::milliseconds kThreadsCheck{50};

class ReadThreads {
 public:
  ReadThreads(const File& file, ReadList& list) : file_(file), list_(list) {}
  ~ReadThreads() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& one : threads_) one.join();
  }
  ReadThreads(const ReadThreads&) = delete;
  ReadThreads& operator=(const ReadThreads&) = delete;

  // False if there is no thread to be had.
  bool start(std::uint32_t count) {
    threads_.reserve(count);
    const platform::NoSignals none;
    for (std::uint32_t i = 0; i < count; ++i) {
      try {
        add_thread();
      } catch (const std::system_error&) {  // RLIMIT_NPROC or the cgroup's pids: fewer will do
        break;
      }
    }
    return !threads_.empty();
  }
  void wait(const InterruptCheck& check) {
    const std::uint32_t generation = DirectRead::generation();
    std::unique_lock<std::mutex> lock(mutex_);
    while (running_ != 0) {
      if (changed_.wait_for(lock, kThreadsCheck) != std::cv_status::timeout) continue;
      lock.unlock();
      check();
      if (DirectRead::generation() != generation) give_up_in_child();
      lock.lock();
    }
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  // A signal handler has forked, and this is the child.
  [[noreturn]] void give_up_in_child() {
    for (std::thread& one : threads_) one.detach();
    threads_.clear();
    throw Error(ErrorKind::kSystem,
                "cannot go on reading in the child of a fork: the threads are the parent's",
                ECHILD);
  }

  void add_thread() {
    {
      const std::lock_guard guard(mutex_);
      ++running_;
    }
    try {
      threads_.emplace_back([this] { run(); });
    } catch (...) {
      const std::lock_guard guard(mutex_);
      --running_;
      throw;
    }
  }

  void run() noexcept {
    platform::prepare_worker({});
    const InterruptCheck check = [this] {
      if (stop_.load(std::memory_order_relaxed))
        throw Error(ErrorKind::kInterrupted, "the reads were interrupted");
    };
    std::unique_lock<std::mutex> lock(mutex_);
    try {
      while (list_.has_next() && !thrown_ && !stop_.load(std::memory_order_relaxed)) {
        const std::size_t index = list_.next();
        const ReadRequest request = list_[index];
        lock.unlock();
        Transfer done = file_.read({&request.piece, 1}, request.offset, check);
        lock.lock();
        list_.add(index, std::move(done));
      }
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!thrown_) thrown_ = std::current_exception();
    }
    if (--running_ == 0) changed_.notify_all();
  }

  const File& file_;
  platform::Mutex mutex_{platform::LockRank::kManyReads};
  platform::Condition changed_{platform::LockRank::kManyReads};
  ReadList& list_;  // under the mutex, as all below but the threads
  int running_ = 0;
  std::exception_ptr thrown_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

void read_by_threads(const File& file, ReadList& list, std::uint32_t threads,
                     const InterruptCheck& check) {
  {
    ReadThreads reading(file, list);
    if (reading.start(threads)) {
      reading.wait(check);
      return;
    }
  }
  read_by_caller(file, list, check);
}

}  // namespace numapool
