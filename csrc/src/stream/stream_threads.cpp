// The threads that fill a stream's blocks.
#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "numapool/error.hpp"
#include "platform/thread.hpp"
#include "stream/stream_state.hpp"

namespace numapool {

void StreamState::start(std::uint32_t threads, const std::vector<int>& cpus) {
  try {
    const platform::NoSignals none;
    for (std::uint32_t i = 0; i < threads; ++i) {
      const std::lock_guard guard(mutex_);  // counted before the thread may end
      std::thread([self = shared_from_this(), cpus] {
        platform::prepare_worker(cpus);
        self->run();
      }).detach();
      ++threads_;
    }
  } catch (const std::system_error& error) {
    // RLIMIT_NPROC or the cgroup's pids: fewer threads also work, only more slowly.
    const std::lock_guard guard(mutex_);
    if (threads_ != 0) return;
    throw Error(ErrorKind::kSystem,
                "cannot start a thread that reads: " + std::string(error.what()),
                error.code().value());
  }
}

void StreamState::run() noexcept {
  const InterruptCheck check = [this] {
    if (stop_reading_.load(std::memory_order_relaxed))
      throw Error(ErrorKind::kInterrupted, "the stream is closed");
  };
  Lock lock(mutex_);
  while (!stopped_ && !ended_) {
    Slot* const slot = begin_block();
    if (slot == nullptr) {
      work_.wait(lock);
      continue;
    }
    const platform::Piece piece{address_of(*slot), slot->length};
    lock.unlock();
    Transfer got;
    try {
      got = file_->read({&piece, 1}, slot->offset, check);
    } catch (const std::exception&) {  // stopped, or no memory for an error message
      got.failure.emplace();
      got.failure->cause = platform::Cause::kNoMemory;
    }
    lock.lock();
    end_block(*slot, std::move(got));
  }
  --threads_;
  end_if_unused();
  tell_consumers();
}

// The first block ends at a boundary for direct I/O; every later one has the full size.
std::size_t StreamState::length_at(std::uint64_t offset) const noexcept {
  const std::size_t length = block_bytes_ - offset % align_;
  return static_cast<std::size_t>(std::min<std::uint64_t>(length, limit_ - offset));
}

char* StreamState::address_of(const Slot& slot) const noexcept {
  const auto index = static_cast<std::size_t>(&slot - slots_.data());
  return static_cast<char*>(memory_.mapping.address()) + index * stride_;
}

StreamState::Slot* StreamState::free_slot() {
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [](const Slot& slot) { return slot.use == Use::kFree; });
  return found == slots_.end() ? nullptr : &*found;
}

// Beyond the file's known size, one block is tried after all earlier ones were delivered: it finds
// the end.
StreamState::Slot* StreamState::begin_block() {
  if (halted_ || next_offset_ >= limit_) return nullptr;
  if (next_offset_ >= known_end_ && !window_.empty()) return nullptr;
  Slot* const slot = free_slot();
  if (slot == nullptr) return nullptr;
  slot->use = Use::kReading;
  slot->dropped = false;
  slot->offset = next_offset_;
  slot->length = length_at(next_offset_);
  window_.push_back(slot);
  next_offset_ += slot->length;
  return slot;
}

void StreamState::end_block(Slot& slot, Transfer&& got) {
  bytes_ += got.bytes;
  direct_bytes_ += got.direct_bytes;
  misplaced_ = misplaced_ || got.misplaced;
  if (slot.dropped || stopped_) {
    slot.use = Use::kFree;
    work_.notify_all();
    return;
  }
  slot.use = Use::kFilled;
  slot.got = std::move(got);
  if (slot.got.bytes < slot.length) halted_ = true;
  tell_consumers();
}

void StreamState::wait_for_threads(const InterruptCheck& check) {
  while (true) {
    {
      Lock lock(mutex_);
      if (threads_ == 0) return;
      ready_.wait_for(lock, kSlice);
      if (threads_ == 0) return;
    }
    check();
  }
}

}  // namespace numapool
