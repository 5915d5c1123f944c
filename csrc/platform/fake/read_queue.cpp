// The scripted machine's queues of reads: answers in no order, refusals where a test says.
#include "platform/read_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <random>
#include <vector>

#include "platform/fake/storage_script.hpp"

namespace numapool::platform {
namespace {

class ScriptedQueue final : public ReadQueue {
 public:
  ScriptedQueue(const OpenedFile& file, std::uint32_t depth, std::uint32_t seed)
      : handle_(file.handle), direct_handle_(file.direct_handle), depth_(depth), random_(seed) {
    waiting_.reserve(depth);
    finished_.reserve(depth);
  }
  ~ScriptedQueue() override {
    fake::StorageScript& script = fake::storage_script();
    const std::lock_guard guard(script.mutex);
    if (!waiting_.empty()) ++script.misuses;
    --script.open_queues;
  }

  void put(const QueuedRead& read) noexcept override {
    const bool again = std::any_of(waiting_.begin(), waiting_.end(),
                                   [&](const QueuedRead& one) { return one.slot == read.slot; });
    if (again || waiting_.size() == depth_ || read.slot >= depth_) misuse();
    waiting_.push_back(read);
  }
  void start() noexcept override {}
  std::span<const FinishedRead> wait() noexcept override {
    finished_.clear();
    if (waiting_.empty()) misuse();
    if (is_interrupted()) return {};
    std::shuffle(waiting_.begin(), waiting_.end(), random_);
    for (std::size_t some = 1 + random_() % waiting_.size(); some > 0; --some) {
      const QueuedRead read = waiting_.back();
      waiting_.pop_back();
      finished_.push_back({read.slot, answer_to(read)});
    }
    return finished_;
  }

 private:
  static void misuse() {
    fake::StorageScript& script = fake::storage_script();
    const std::lock_guard guard(script.mutex);
    ++script.misuses;
  }
  static bool is_interrupted() {
    fake::StorageScript& script = fake::storage_script();
    const std::lock_guard guard(script.mutex);
    if (script.queue_interrupts == 0) return false;
    --script.queue_interrupts;
    return true;
  }
  [[nodiscard]] IoResult answer_to(const QueuedRead& read) const {
    {
      fake::StorageScript& script = fake::storage_script();
      const std::lock_guard guard(script.mutex);
      const auto refused = script.queue_refusals.find(++script.queued_reads);
      if (refused != script.queue_refusals.end()) {
        const int code = refused->second;
        return {0, code == EINVAL ? IoEnd::kMisaligned : IoEnd::kFailed, code};
      }
    }
    return read_at(read.direct ? direct_handle_ : handle_, {&read.piece, 1}, read.offset);
  }

  FileHandle handle_;
  FileHandle direct_handle_;
  std::size_t depth_;
  std::minstd_rand random_;
  std::vector<QueuedRead> waiting_;
  std::vector<FinishedRead> finished_;
};

}  // namespace

const char* read_queue_name() noexcept { return "scripted"; }

Result<std::unique_ptr<ReadQueue>> open_read_queue(const OpenedFile* file, std::uint32_t depth) {
  fake::StorageScript& script = fake::storage_script();
  std::uint32_t seed = 0;
  {
    const std::lock_guard guard(script.mutex);
    if (script.queue_code != 0)
      return Failure{Cause::kRefused, "open_queue", script.queue_code, {}};
    ++script.open_queues;
    seed = script.queue_seed;
  }
  return std::unique_ptr<ReadQueue>(
      std::make_unique<ScriptedQueue>(file == nullptr ? OpenedFile{} : *file, depth, seed));
}

}  // namespace numapool::platform
