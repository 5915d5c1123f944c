// Many reads of one file in flight, by one thread over the system's queue of reads.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "platform/read_queue.hpp"
#include "stream/direct_gate.hpp"
#include "stream/many_reads.hpp"
#include "stream/transfer_steps.hpp"

namespace numapool {
namespace {

using platform::IoEnd;

// Between checks for signals, for which the reads in flight must come to their end: Python code may
// run then, and fork.
constexpr std::chrono::milliseconds kQueueCheck{200};

// Disks that answer many reads at the same time would be idle until the next ones are all put.
constexpr std::uint32_t kStartAtOnce = 8;

class QueuedReader {
 public:
  QueuedReader(const File& file, ReadList& list, std::unique_ptr<platform::ReadQueue> queue,
               std::uint32_t depth)
      : file_(file), list_(list), queue_(std::move(queue)), slots_(depth) {
    free_.reserve(depth);
    ready_.reserve(depth);
    for (std::uint32_t i = depth; i > 0; --i) free_.push_back(i - 1);
  }
  // Memory that the device still writes to is not left to others.
  ~QueuedReader() {
    while (in_flight_ > 0) in_flight_ -= static_cast<std::uint32_t>(queue_->wait().size());
  }
  QueuedReader(const QueuedReader&) = delete;
  QueuedReader& operator=(const QueuedReader&) = delete;

  void run(const InterruptCheck& check) {
    while (true) {
      start_reads();
      if (in_flight_ == 0) return;
      wait_for_reads();
      if (!list_.has_next() && ready_.empty()) continue;
      if (!interrupted_ && !DirectRead::fork_waits() &&
          std::chrono::steady_clock::now() - checked_ < kQueueCheck)
        continue;
      while (in_flight_ > 0) wait_for_reads();
      gate_.reset();
      if (!check_signals(check)) {
        finish_alone(check);
        return;
      }
      gate_.emplace();
    }
  }

 private:
  struct Slot {
    std::size_t index = 0;
    std::optional<TransferSteps> steps;
    TransferSteps::Step step;
  };

  [[nodiscard]] platform::FileHandle handle_of(const TransferSteps::Step& step) const noexcept {
    return step.direct ? file_.opened().direct_handle : file_.opened().handle;
  }

  void start_reads() {
    while (!ready_.empty()) {
      const std::uint32_t slot = ready_.back();
      ready_.pop_back();
      go_on(slot);
    }
    while (!free_.empty() && list_.has_next()) {
      const std::uint32_t slot = free_.back();
      free_.pop_back();
      Slot& used = slots_[slot];
      used.index = list_.next();
      const ReadRequest& request = list_[used.index];
      used.steps.emplace(file_.opened(), file_.refused(), "preadv", false,
                         std::span(&request.piece, 1), request.offset, file_.direct_read_end());
      go_on(slot);
    }
  }

  // Puts a read's next step into the queue, or ends it.
  void go_on(std::uint32_t slot) {
    Slot& used = slots_[slot];
    const bool goes_on = list_.counts(used.index);
    const auto step = goes_on ? used.steps->next() : std::nullopt;
    if (step) {
      used.step = *step;
      queue_->put({slot, step->direct, step->parts.front(), step->offset});
      ++in_flight_;
      if (++unstarted_ == kStartAtOnce) {
        queue_->start();
        unstarted_ = 0;
      }
      return;
    }
    if (goes_on) list_.add(used.index, std::move(used.steps->outcome()));
    used.steps.reset();
    free_.push_back(slot);
  }

  void wait_for_reads() {
    unstarted_ = 0;
    const std::span<const platform::FinishedRead> finished = queue_->wait();
    interrupted_ = interrupted_ || finished.empty();
    in_flight_ -= static_cast<std::uint32_t>(finished.size());
    for (const platform::FinishedRead& one : finished) {
      Slot& used = slots_[one.slot];
      platform::IoResult result = one.result;
      // A queue may refuse what the plain call does, whose answer counts.
      if (result.end == IoEnd::kMisaligned || result.end == IoEnd::kFailed)
        result = platform::read_at(handle_of(used.step), used.step.parts, used.step.offset);
      used.steps->take(result);
      ready_.push_back(one.slot);
    }
  }

  // False in the child of a signal handler's fork: the queue is the parent's.
  [[nodiscard]] bool check_signals(const InterruptCheck& check) {
    const std::uint32_t generation = DirectRead::generation();
    check();
    checked_ = std::chrono::steady_clock::now();
    interrupted_ = false;
    if (DirectRead::generation() == generation) return true;
    static_cast<void>(queue_.release());
    return false;
  }

  void finish_alone(const InterruptCheck& check) {
    for (const std::uint32_t slot : ready_) {
      Slot& used = slots_[slot];
      while (const auto step = used.steps->next()) {
        const DirectRead gate;
        used.steps->take(platform::read_at(handle_of(*step), step->parts, step->offset));
      }
      list_.add(used.index, std::move(used.steps->outcome()));
    }
    read_by_caller(file_, list_, check);
  }

  const File& file_;
  ReadList& list_;
  std::unique_ptr<platform::ReadQueue> queue_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> ready_;  // whose next step can begin
  std::uint32_t in_flight_ = 0;
  std::uint32_t unstarted_ = 0;
  std::optional<DirectRead> gate_{std::in_place};  // held while anything is in flight
  std::chrono::steady_clock::time_point checked_ = std::chrono::steady_clock::now();
  bool interrupted_ = false;
};

}  // namespace

void read_by_queue(const File& file, ReadList& list, std::unique_ptr<platform::ReadQueue> queue,
                   std::uint32_t depth, const InterruptCheck& check) {
  QueuedReader(file, list, std::move(queue), depth).run(check);
}

}  // namespace numapool
