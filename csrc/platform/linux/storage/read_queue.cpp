// Reads by io_uring(7), from Linux 6.3 on: a ring that no descriptor stands for while it is used.
//
// The thread registers the ring and the ring registers the file (IORING_REGISTER_RING_FDS,
// IORING_REGISTER_FILES), and the ring's descriptor is closed before the first read. So there is no
// number that other code could close and use anew, and a fork hands nothing on but file references
// of its own kind: the mapped rings are not copied either (MADV_DONTFORK). Before Linux 6.3 a
// registered ring cannot be given back without its descriptor.
#include "platform/read_queue.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "platform/linux/kernel/io_uring.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/storage/open_descriptor.hpp"

namespace numapool::platform {
namespace {

namespace uring = kernel::uring;

// Between looks at the ring where the kernel refuses to wait for it.
constexpr std::chrono::milliseconds kPause{1};

class Mapped {
 public:
  Mapped() noexcept = default;
  ~Mapped() {
    if (address_ != MAP_FAILED) munmap(address_, length_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  bool map(int fd, std::size_t length, std::int64_t at) noexcept {
    length_ = length;
    address_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                    static_cast<off_t>(at));
    return address_ != MAP_FAILED && madvise(address_, length, MADV_DONTFORK) == 0;
  }
  template <class T>
  [[nodiscard]] T* at(std::uint32_t offset) const noexcept {
    return reinterpret_cast<T*>(static_cast<char*>(address_) + offset);
  }

 private:
  void* address_ = MAP_FAILED;
  std::size_t length_ = 0;
};

std::uint32_t loaded(std::uint32_t* word) noexcept {
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}

void store(std::uint32_t* word, std::uint32_t value) noexcept {
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

IoResult result_of(std::int32_t answer) noexcept {
  if (answer >= 0) return {static_cast<std::size_t>(answer), IoEnd::kDone, 0};
  const int code = -answer;
  if (code == EINTR) return {0, IoEnd::kInterrupted, code};
  if (code == EINVAL) return {0, IoEnd::kMisaligned, code};
  return {0, IoEnd::kFailed, code};
}

class Uring final : public ReadQueue {
 public:
  explicit Uring(std::uint32_t depth) { finished_.reserve(depth); }
  ~Uring() override {
    // The kernel drops the references of a ring that ends some time later; the file's goes now.
    if (has_files_) static_cast<void>(change(uring::kUnregisterFiles, nullptr, 0));
    if (ring_ < 0) return;
    uring::RingUpdate ring{static_cast<std::uint32_t>(ring_), 0, 0};
    static_cast<void>(change(uring::kUnregisterRings, &ring, 1));
  }

  Status open(const OpenedFile* file, std::uint32_t depth) {
    Status status = open_ring(depth);
    if (status && file != nullptr) status = take_files(*file);
    return status;
  }

  void put(const QueuedRead& read) noexcept override {
    const std::uint32_t index = tail_ & mask_;
    uring::Submission& entry = entries_.at<uring::Submission>(0)[index];
    entry = {};
    entry.operation = uring::kRead;
    entry.flags = uring::kFixedFile;
    entry.file = read.direct ? kDirect : kPlain;
    entry.offset = read.offset;
    entry.address = reinterpret_cast<std::uintptr_t>(read.piece.address);
    entry.length = static_cast<std::uint32_t>(read.piece.length);
    entry.user_data = read.slot;
    store(submission_tail_, ++tail_);
  }

  void start() noexcept override {
    const std::uint32_t put = tail_ - loaded(submission_head_);
    if (put != 0) static_cast<void>(uring::enter(ring_, put, 0, uring::kRegisteredRing));
  }

  std::span<const FinishedRead> wait() noexcept override {
    finished_.clear();
    const std::uint32_t put = tail_ - loaded(submission_head_);
    const int answer = uring::enter(ring_, put, 1, uring::kGetEvents | uring::kRegisteredRing);
    const int code = answer < 0 ? errno : 0;
    if (answer < 0 && code != EINTR) {
      if (put != 0) {
        take_back(code);
      } else {  // a read in flight ends without a call, at this thread's next one of any kind
        std::this_thread::sleep_for(kPause);
      }
    }
    reap();
    return finished_;
  }

 private:
  static constexpr std::int32_t kPlain = 0;  // the ring's numbers of the file's two descriptors
  static constexpr std::int32_t kDirect = 1;

  struct Descriptor {
    int fd;
    ~Descriptor() {
      if (fd >= 0) close(fd);
    }
  };

  static Failure too_old() {
    return failed("io_uring_setup", ENOSYS, "numapool's way needs Linux 6.3");
  }

  int change(std::uint32_t operation, void* argument, std::uint32_t count) const noexcept {
    return uring::change(ring_, operation | uring::kUseRegisteredRing, argument, count);
  }

  Status open_ring(std::uint32_t depth) {
    uring::Parameters made{};
    made.flags = uring::kCoopTaskrun | uring::kSingleIssuer;
    const Descriptor ring{uring::setup(depth, made)};
    if (ring.fd < 0) {
      // Linux 5.19 and 6.0 brought the flags.
      if (errno == EINVAL) return too_old();
      return failed("io_uring_setup", errno);
    }
    constexpr std::uint32_t kNeeded =
        uring::kSingleMmap | uring::kNoDrop | uring::kRegisteredRegister;
    if ((made.features & kNeeded) != kNeeded) return too_old();
    const std::size_t length =
        std::max(made.submission.array + made.submission_entries * sizeof(std::uint32_t),
                 made.completion.entries + made.completion_entries * sizeof(uring::Completion));
    if (!words_.map(ring.fd, length, uring::kRingAt) ||
        !entries_.map(ring.fd, made.submission_entries * sizeof(uring::Submission),
                      uring::kEntriesAt)) {
      return failed("mmap", errno, "io_uring");
    }
    lay_out(made);
    uring::RingUpdate update{uring::kAnyIndex, 0, static_cast<std::uint64_t>(ring.fd)};
    if (uring::change(ring.fd, uring::kRegisterRings, &update, 1) != 1)
      return failed("io_uring_register", errno, "the ring");
    ring_ = static_cast<int>(update.index);
    return Done{};
  }

  void lay_out(const uring::Parameters& made) noexcept {
    submission_head_ = words_.at<std::uint32_t>(made.submission.head);
    submission_tail_ = words_.at<std::uint32_t>(made.submission.tail);
    completion_head_ = words_.at<std::uint32_t>(made.completion.head);
    completion_tail_ = words_.at<std::uint32_t>(made.completion.tail);
    completions_ = words_.at<uring::Completion>(made.completion.entries);
    mask_ = made.submission_entries - 1;
    completion_mask_ = made.completion_entries - 1;
    auto* const order = words_.at<std::uint32_t>(made.submission.array);
    for (std::uint32_t i = 0; i <= mask_; ++i) order[i] = i;
    tail_ = *submission_tail_;
  }

  Status take_files(const OpenedFile& file) {
    // -1: no file under this number.
    std::array<std::int32_t, 2> files{
        descriptor(file.handle),
        file.direct_handle == kNoFile ? -1 : descriptor(file.direct_handle)};
    if (change(uring::kRegisterFiles, files.data(), 2) < 0)
      return failed("io_uring_register", errno, "the file");
    has_files_ = true;
    return Done{};
  }

  // The kernel took none of what follows the submissions' head: they have their answer now.
  void take_back(int code) noexcept {
    const std::uint32_t head = loaded(submission_head_);
    for (std::uint32_t at = head; at != tail_; ++at) {
      const uring::Submission& entry = entries_.at<uring::Submission>(0)[at & mask_];
      finished_.push_back({static_cast<std::uint32_t>(entry.user_data), {0, IoEnd::kFailed, code}});
    }
    tail_ = head;
    store(submission_tail_, tail_);
  }

  void reap() noexcept {
    const std::uint32_t end = loaded(completion_tail_);
    std::uint32_t at = *completion_head_;
    for (; at != end; ++at) {
      const uring::Completion& done = completions_[at & completion_mask_];
      finished_.push_back({static_cast<std::uint32_t>(done.user_data), result_of(done.result)});
    }
    store(completion_head_, at);
  }

  Mapped words_;
  Mapped entries_;
  std::uint32_t* submission_head_ = nullptr;
  std::uint32_t* submission_tail_ = nullptr;
  std::uint32_t* completion_head_ = nullptr;
  std::uint32_t* completion_tail_ = nullptr;
  uring::Completion* completions_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t completion_mask_ = 0;
  std::uint32_t tail_ = 0;
  int ring_ = -1;  // this thread's number of the ring
  bool has_files_ = false;
  std::vector<FinishedRead> finished_;  // has room for `depth` from the beginning
};

}  // namespace

const char* read_queue_name() noexcept { return "io_uring"; }

Result<std::unique_ptr<ReadQueue>> open_read_queue(const OpenedFile* file, std::uint32_t depth) {
  auto queue = std::make_unique<Uring>(depth);
  const Status opened = queue->open(file, depth);
  if (!opened) return opened.failure();
  return std::unique_ptr<ReadQueue>(std::move(queue));
}

}  // namespace numapool::platform
