// Populates a new mapping in chunks, with as many threads as help, on CPUs of the target node.
#include "memory/populate.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "memory/range_placement.hpp"
#include "memory/worker_team.hpp"
#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "platform/locks.hpp"
#include "platform/process.hpp"

namespace numapool {
namespace {

constexpr std::size_t kPopulateChunk = std::size_t{256} << 20;
constexpr std::size_t kPiece = std::size_t{8} << 20;  // one thread's piece of work
constexpr std::size_t kPerThread = std::size_t{32}
                                   << 20;  // starting a thread costs more than it saves below this
constexpr std::size_t kMaxThreads = 16;    // more do not clear a node's memory faster
constexpr std::size_t kLeastPiece = std::size_t{64} << 10;
// A process in a cgroup over memory.high is throttled for up to 2 s in each call, longer for larger
// pieces. Ctrl-C must not wait for that: after a slow piece, the next ones are smaller.
constexpr std::uint64_t kLongPiece = 50;   // ms
constexpr std::uint64_t kShortPiece = 10;  // ms
constexpr std::uint64_t kCheckEvery = 50;  // ms

thread_local std::atomic<std::uint64_t>* meter = nullptr;

// Shared by the threads of one chunk: the next piece to take, and the first failure.
class Work final : public SharedJob {
 public:
  Work(char* begin, std::size_t length, const platform::Pages& pages)
      : begin_(begin),
        length_(length),
        least_piece_(std::max(kLeastPiece, unit_of(pages))),
        most_piece_(std::max(kPiece, pages.bytes)),
        piece_(most_piece_),
        pages_(pages) {}

  // The calling thread populates by itself.
  void run_here(const InterruptCheck& check) {
    std::uint64_t checked = platform::coarse_ms();
    while (do_piece()) {
      if (platform::coarse_ms() - checked < kCheckEvery) continue;
      check();
      checked = platform::coarse_ms();
    }
  }
  void stop() noexcept override { next_.store(length_, std::memory_order_relaxed); }

  bool do_piece() noexcept override {
    try {
      const std::size_t piece = piece_.load(std::memory_order_relaxed);
      const std::size_t at = next_.fetch_add(piece, std::memory_order_relaxed);
      if (at >= length_) return false;
      const std::uint64_t started = platform::coarse_ms();
      const platform::Status done =
          platform::populate(begin_ + at, std::min(piece, length_ - at), pages_);
      if (done) {
        if (meter_ != nullptr)
          meter_->fetch_add(std::min(piece, length_ - at), std::memory_order_relaxed);
        adapt(piece, platform::coarse_ms() - started);
        return true;
      }
      const std::lock_guard guard(mutex_);
      if (!failure_) failure_ = done.failure();
    } catch (const std::bad_alloc&) {  // there was a failure, but no memory for its message
      no_memory_.store(true, std::memory_order_relaxed);
    }
    stop();
    return false;
  }

  // Called when every thread is done: throws the first failure.
  void require_done(std::uint64_t whole) const {
    if (failure_) {
      throw Error(ErrorKind::kNoMemory,
                  "cannot populate " + size_text(whole) + ": " + describe(*failure_),
                  failure_->code);
    }
    if (no_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
  }

 private:
  static std::size_t unit_of(const platform::Pages& pages) noexcept {
    return pages.kind == platform::PageKind::kHugetlb ? pages.bytes : platform::base_page_bytes();
  }

  void adapt(std::size_t piece, std::uint64_t took_ms) noexcept {
    if (took_ms > kLongPiece && piece > least_piece_) {
      const std::size_t fitting = piece / took_ms * kShortPiece / least_piece_ * least_piece_;
      piece_.store(std::max(fitting, least_piece_), std::memory_order_relaxed);
    } else if (took_ms < kShortPiece && piece < most_piece_) {
      piece_.store(std::min(piece * 2, most_piece_), std::memory_order_relaxed);
    }
  }

  char* begin_;
  std::size_t length_;
  std::size_t least_piece_;
  std::size_t most_piece_;
  std::atomic<std::size_t> piece_;
  platform::Pages pages_;
  std::atomic<std::uint64_t>* const meter_ = meter;  // of the thread that waits
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

}  // namespace

PopulateMeter::PopulateMeter(std::atomic<std::uint64_t>& bytes) noexcept
    : outer_(std::exchange(meter, &bytes)) {}

PopulateMeter::~PopulateMeter() { meter = outer_; }

void populate(const Region& region, const PopulatePlan& plan, const InterruptCheck& check) {
  auto* const begin = static_cast<char*>(region.address);
  const bool reserved = region.pages.kind == platform::PageKind::kHugetlb;
  const std::size_t chunk = std::max(kPopulateChunk, region.pages.bytes);
  // If no policy was accepted, the calling thread's policy decides where pages go.
  const PolicyOf policy = plan.only_on_cpus ? PolicyOf::kThread : PolicyOf::kMapping;
  if (plan.only_on_cpus && !reserved && region.length >= kLookBytes)
    require_available(region.length, "cannot populate ", policy, plan.left_out);
  for (std::size_t at = 0; at < region.length; at += chunk) {
    const std::size_t length = std::min(chunk, region.length - at);
    if (at != 0) {
      check();
      if (!reserved)
        require_available(region.length - at, "cannot populate the remaining ", policy,
                          plan.left_out);
    }
    Work work(begin + at, length, region.pages);
    const std::size_t threads = threads_for(length, plan);
    if (threads == 0 || !run_by_threads(work, threads, plan.cpus, check)) work.run_here(check);
    work.require_done(region.length);
  }
}

}  // namespace numapool
