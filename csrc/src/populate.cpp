// Makes a new mapping resident in chunks, with as many threads as help, on the CPUs of the target
// node.
#include "populate.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "look.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "platform/locks.hpp"
#include "platform/thread.hpp"

namespace numapool {
namespace {

constexpr std::size_t kChunk = std::size_t{256} << 20;
constexpr std::size_t kPiece = std::size_t{8} << 20;  // what one thread takes at a time
constexpr std::size_t kPerThread = std::size_t{32}
                                   << 20;  // starting a thread for less does not pay
constexpr std::size_t kMaxThreads = 16;    // clearing pages saturates a node's memory before this

// What the threads of one chunk share: the next piece to take, and the first failure.
class Work {
 public:
  Work(char* begin, std::size_t length, const platform::Pages& pages)
      : begin_(begin), length_(length), piece_(std::max(kPiece, pages.bytes)), pages_(pages) {}

  // Throws nothing: on a thread of its own nobody would catch it.
  void run() noexcept {
    try {
      populate_pieces();
    } catch (const std::bad_alloc&) {  // there was a failure, and no memory for its words
      no_memory_.store(true, std::memory_order_relaxed);
      next_.store(length_, std::memory_order_relaxed);
    }
  }
  // Once every thread is done: throws what they met.
  void require_done(std::uint64_t whole) const {
    if (failure_) {
      throw Error(ErrorKind::kNoMemory,
                  "cannot populate " + size_text(whole) + ": " + describe(*failure_),
                  failure_->code);
    }
    if (no_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
  }

 private:
  void populate_pieces() {
    while (true) {
      const std::size_t at = next_.fetch_add(piece_, std::memory_order_relaxed);
      if (at >= length_) return;
      const platform::Status done =
          platform::populate(begin_ + at, std::min(piece_, length_ - at), pages_);
      if (done) continue;
      const std::lock_guard guard(mutex_);
      if (!failure_) failure_ = done.failure();
      next_.store(length_, std::memory_order_relaxed);
    }
  }

  char* begin_;
  std::size_t length_;
  std::size_t piece_;
  platform::Pages pages_;
  std::atomic<std::size_t> next_{0};
  platform::Mutex mutex_{platform::LockRank::kPopulate};
  std::optional<platform::Failure> failure_;
  std::atomic<bool> no_memory_{false};
};

std::size_t threads_for(std::size_t length, const PopulatePlan& plan) {
  const std::size_t cpus = plan.cpus.empty() ? 1 : plan.cpus.size();
  const std::size_t useful = std::min({length / kPerThread, cpus, kMaxThreads});
  if (useful >= 2) return useful;
  return plan.only_on_cpus && !plan.cpus.empty() ? 1 : 0;
}

void run_chunk(Work& work, std::size_t threads, std::span<const int> cpus) {
  std::vector<std::jthread> workers;
  workers.reserve(threads);
  try {
    const platform::NoSignals none;
    for (std::size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&work, cpus] {
        platform::prepare_worker(cpus);
        work.run();
      });
    }
  } catch (const std::system_error&) {
    // No more threads to be had (RLIMIT_NPROC, pids cgroup): those that run, or this one, do the
    // work.
  }
  if (workers.empty()) work.run();
}

}  // namespace

void require_available(std::uint64_t bytes, const char* what) {
  const platform::Result<platform::Available> available = platform::available();
  if (!available || available.value().bytes >= bytes) return;
  throw Error(ErrorKind::kNoMemory, std::string(what) + size_text(bytes) + ": only " +
                                        size_text(available.value().bytes) +
                                        " are available to this process, limited by " +
                                        available.value().limit);
}

void populate(const Region& region, const PopulatePlan& plan, const InterruptCheck& check) {
  auto* const begin = static_cast<char*>(region.address);
  const bool reserved = region.pages.kind == platform::PageKind::kHugetlb;
  const std::size_t chunk = std::max(kChunk, region.pages.bytes);
  for (std::size_t at = 0; at < region.length; at += chunk) {
    const std::size_t length = std::min(chunk, region.length - at);
    if (at != 0) {
      check();
      if (!reserved) require_available(region.length - at, "cannot populate the remaining ");
    }
    Work work(begin + at, length, region.pages);
    run_chunk(work, threads_for(length, plan), plan.cpus);
    work.require_done(region.length);
  }
}

}  // namespace numapool
