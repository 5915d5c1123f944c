// The state shared by a stream, its threads and the blocks that are out.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "memory/known_place.hpp"
#include "numapool/stream.hpp"
#include "platform/locks.hpp"
#include "platform/pressure.hpp"

namespace numapool {

// A window of blocks in file order: the first is delivered next, the last was started last. Lives
// as long as the stream, its threads, or a block that is out.
class StreamState final : public Keeper,
                          private platform::ForkOwner,
                          public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(File&& file, Pool& pool, Block&& memory, std::size_t stride, std::uint32_t count,
              const StreamOptions& options);
  ~StreamState();
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;

  // Starts threads on `cpus`. Throws Error(kSystem) if none can be started.
  void start(std::uint32_t threads, const std::vector<int>& cpus);
  [[nodiscard]] std::optional<StreamItem> try_next();  // not the end
  [[nodiscard]] StreamItem next(std::optional<std::uint64_t> starved_ms,
                                const InterruptCheck& check);
  [[nodiscard]] std::optional<StreamItem> poll();
  [[nodiscard]] int descriptor();
  [[nodiscard]] bool starved() const;
  void stop() noexcept;  // threads end when their reads are done
  void wait_for_threads(const InterruptCheck& check);
  [[nodiscard]] bool closed() const;
  [[nodiscard]] Stream::Figures figures();

  [[nodiscard]] bool give_back(void* cookie, bool moved) noexcept override;
  void tidy() noexcept override {}

 private:
  enum class Use : std::uint8_t { kFree, kReading, kFilled, kLent };
  struct Slot {
    Use use = Use::kFree;
    bool dropped = false;  // its read is no longer wanted
    std::uint64_t offset = 0;
    std::size_t length = 0;  // asked for
    Transfer got;
    KnownPlace known;
  };
  using Lock = std::unique_lock<std::mutex>;

  // Between checks for signals; this does not delay blocks.
  static constexpr std::chrono::milliseconds kSlice{50};

  void after_fork_in_child() noexcept override;  // the threads belong to the parent
  void run() noexcept;
  [[nodiscard]] Slot* begin_block();           // under mutex_; nullptr: not now
  void end_block(Slot& slot, Transfer&& got);  // under mutex_
  [[nodiscard]] Slot* free_slot();
  [[nodiscard]] std::optional<StreamItem> take();  // under mutex_
  [[nodiscard]] StreamItem lend(Slot& slot);
  void look_at(Slot& slot);  // if pages were moved since its place was read
  [[nodiscard]] std::optional<int> node_of_most();
  [[nodiscard]] Region region_of(const Slot& slot) const noexcept;
  void restart_at(std::uint64_t offset);
  void free_window() noexcept;
  void require_open() const;
  [[nodiscard]] bool is_starved() const;
  void end_if_unused() noexcept;   // under mutex_
  void tell_consumers() noexcept;  // under mutex_: there may be something to take
  [[nodiscard]] std::size_t length_at(std::uint64_t offset) const noexcept;
  [[nodiscard]] char* address_of(const Slot& slot) const noexcept;

  Pool& pool_;
  const std::size_t stride_;
  const std::size_t block_bytes_;
  const std::uint64_t limit_;  // no byte from here on is needed
  const std::size_t align_;    // later blocks begin at multiples of this
  const BlockPlace place_;

  // The pool's locks are taken while it is held, when memory is given back.
  mutable platform::Mutex mutex_{platform::LockRank::kStream};
  platform::Condition work_{platform::LockRank::kStream};   // for threads: a free block, or the end
  platform::Condition ready_{platform::LockRank::kStream};  // for consumers, and for close()
  std::unique_ptr<platform::Bell> bell_;                    // for event loops, once one has asked
  std::optional<File> file_;
  Block memory_;
  std::vector<Slot> slots_;
  std::vector<Slot*> window_;
  std::uint64_t next_offset_;
  std::uint64_t known_end_;  // the file's size; beyond it, one block at a time is tried
  bool halted_ = false;      // a block was short: the consumer decides where to continue
  bool ended_ = false;       // the consumer got everything
  bool stopped_ = false;
  bool orphaned_ = false;  // in the child of a fork
  std::atomic<bool> stop_reading_{false};
  std::optional<StreamItem> failure_;
  std::uint32_t threads_ = 0;
  std::uint32_t lent_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t direct_bytes_ = 0;
  bool misplaced_ = false;
  std::string why_not_direct_;           // once the file is closed
  std::shared_ptr<StreamState> itself_;  // while blocks are out
};

}  // namespace numapool
