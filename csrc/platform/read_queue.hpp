// What an operating system may offer for files: many reads in flight at once, without a thread for
// each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "platform/result.hpp"
#include "platform/storage.hpp"

namespace numapool::platform {

inline constexpr std::uint32_t kMostInFlight = 1024;

struct QueuedRead {
  std::uint32_t slot = 0;  // names the read in its answer; no other read in flight has it
  bool direct = false;     // by the file's direct_handle
  Piece piece;             // written to until the answer is there; at most 1 GiB
  std::uint64_t offset = 0;
};

struct FinishedRead {
  std::uint32_t slot = 0;
  IoResult
      result;  // as of read_at() with one piece; `code` may also be a refusal of the queue's own
};

// Reads of one file. For the thread that made it alone, and destroyed by it when nothing is in
// flight. A child of a fork must not use it, and has nothing of it to give back.
class ReadQueue {
 public:
  virtual ~ReadQueue() = default;
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;

  // Adds a read, which start() or wait() starts. At most `depth` reads may be without an answer.
  virtual void put(const QueuedRead& read) noexcept = 0;
  // Starts what was put, if the system takes it now; else wait() tries again.
  virtual void start() noexcept = 0;
  // Starts what was put, and waits for an answer. Returns all answers that are there, valid until
  // the next call. None: a signal came, or the system had no room for a moment. Every read gets
  // its answer sooner or later, also if the system refuses its calls from some time on.
  [[nodiscard]] virtual std::span<const FinishedRead> wait() noexcept = 0;

 protected:
  ReadQueue() = default;
};

// What the system calls its queues, for reports: "io_uring".
[[nodiscard]] const char* read_queue_name() noexcept;

// For up to `depth` reads of `file` at once, 1 to kMostInFlight. The file must stay open. `file`
// null: to find out whether there are queues. Throws only std::bad_alloc.
[[nodiscard]] Result<std::unique_ptr<ReadQueue>> open_read_queue(const OpenedFile* file,
                                                                 std::uint32_t depth);

}  // namespace numapool::platform
