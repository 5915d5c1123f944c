// The consumers of a stream, and its end.
#include "stream/stream_state.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "numapool/error.hpp"

namespace numapool {
namespace {

// An alignment of 1 means that the file has no direct I/O. Blocks with another size than a multiple
// of the alignment keep it, and give up direct I/O.
std::size_t alignment_of(const File& file, std::size_t block_bytes) noexcept {
  return block_bytes % file.transfer_align() == 0 ? file.transfer_align() : 1;
}

std::uint64_t limit_of(const StreamOptions& options) noexcept {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  if (!options.size || *options.size > kMost - options.offset) return kMost;
  return options.offset + *options.size;
}

}  // namespace

StreamState::StreamState(File&& file, Pool& pool, Block&& memory, std::size_t stride,
                         std::uint32_t count, const StreamOptions& options)
    : pool_(pool),
      stride_(stride),
      block_bytes_(options.block_bytes),
      limit_(limit_of(options)),
      align_(alignment_of(file, options.block_bytes)),
      place_(memory.place),
      slots_(count),
      next_offset_(options.offset),
      known_end_(file.size_bytes()) {
  window_.reserve(count);
  for (Slot& slot : slots_) slot.known = KnownPlace(place_);
  pool_.pin();  // the steps that may throw are done: nothing was taken before
  file_.emplace(std::move(file));
  memory_ = std::move(memory);
  mutex_.tell_of_forks(*this);
}

// No thread is left and no block is out, or this object would be alive.
StreamState::~StreamState() {
  mutex_.tell_no_more();
  const std::lock_guard guard(mutex_);
  stopped_ = true;
  free_window();
  end_if_unused();
}

std::optional<StreamItem> StreamState::take() {
  require_open();
  StreamItem item;
  if (failure_) {
    item = std::move(*failure_);
    failure_.reset();
    ended_ = true;
  }
  if (ended_ || (window_.empty() && next_offset_ >= limit_)) {
    ended_ = true;
    work_.notify_all();
    tell_consumers();  // other consumers
    return item;
  }
  if (window_.empty() || window_.front()->use != Use::kFilled) return std::nullopt;
  Slot& slot = *window_.front();
  look_at(slot);  // first, as it may throw
  window_.erase(window_.begin());
  const std::size_t bytes = slot.got.bytes;
  if (bytes < slot.length) restart_at(slot.offset + bytes);
  if (slot.got.failure) {
    failure_.emplace();
    failure_->kind = StreamItem::Kind::kFailure;
    failure_->offset = slot.offset + bytes;
    failure_->failure = std::move(*slot.got.failure);
    halted_ = true;
  } else if (bytes == 0) {
    ended_ = true;
  }
  if (bytes != 0) return lend(slot);
  slot.use = Use::kFree;
  return take();  // the failure, or the end; nothing follows
}

// Bytes read beyond a short block are dropped, as the file has changed meanwhile.
void StreamState::restart_at(std::uint64_t offset) {
  free_window();
  next_offset_ = offset;
  known_end_ = offset;
  halted_ = false;
  work_.notify_all();
}

void StreamState::free_window() noexcept {
  for (Slot* const slot : window_) {
    if (slot->use == Use::kFilled) slot->use = Use::kFree;
    slot->dropped = true;
  }
  window_.clear();
}

StreamItem StreamState::lend(Slot& slot) {
  slot.use = Use::kLent;
  if (lent_++ == 0) itself_ = shared_from_this();
  StreamItem item;
  item.kind = StreamItem::Kind::kBlock;
  item.offset = slot.offset;
  item.bytes = slot.got.bytes;
  item.lease.region = region_of(slot);
  item.lease.place = slot.known.place();
  item.lease.keeper = this;
  item.lease.cookie = &slot;
  item.lease.dirty = true;
  if (next_offset_ >= known_end_ && window_.empty()) work_.notify_all();  // the end may be tried
  return item;
}

void StreamState::look_at(Slot& slot) {
  if (!slot.known.is_current() && memory_.size_bytes != 0)
    slot.known = slot.known.looked_up(region_of(slot));
}

std::optional<int> StreamState::node_of_most() {
  std::map<int, std::size_t> blocks_by_node;
  for (Slot& slot : slots_) {
    look_at(slot);
    if (slot.known.place().node_id) ++blocks_by_node[*slot.known.place().node_id];
  }
  return place_of_most(place_, blocks_by_node).node_id;
}

Region StreamState::region_of(const Slot& slot) const noexcept {
  return {address_of(slot), stride_, {platform::PageKind::kBase, platform::base_page_bytes()}};
}

void StreamState::require_open() const {
  if (orphaned_) {
    throw Error(ErrorKind::kClosed,
                "the stream was opened before this process was forked, and its threads are the "
                "parent's: open one in the child");
  }
  if (stopped_) throw Error(ErrorKind::kClosed, "the stream is closed");
}

bool StreamState::is_starved() const {
  return window_.empty() && !ended_ && lent_ == slots_.size();
}

std::optional<StreamItem> StreamState::try_next() {
  const std::lock_guard guard(mutex_);
  std::optional<StreamItem> item = take();
  if (item && item->kind == StreamItem::Kind::kEnd) item.reset();  // next() tells of it again
  return item;
}

StreamItem StreamState::next(std::optional<std::uint64_t> starved_ms, const InterruptCheck& check) {
  using Clock = std::chrono::steady_clock;
  bool starving = false;
  Clock::time_point since;
  while (true) {
    {
      Lock lock(mutex_);
      if (std::optional<StreamItem> item = take()) return std::move(*item);
      if (!std::exchange(starving, is_starved())) since = Clock::now();
      if (starving && starved_ms) {
        if (Clock::now() - since >= std::chrono::milliseconds(*starved_ms)) {
          throw Error(ErrorKind::kExhausted,
                      "all " + std::to_string(slots_.size()) +
                          " blocks of the stream are in use; let go of them as you go on, or open "
                          "it with a greater depth");
        }
      }
      ready_.wait_for(lock, kSlice);
    }
    check();
  }
}

// The bell rings under the lock, and is quiet only once nothing was found under it: so it says what
// there is, to any number of loops.
std::optional<StreamItem> StreamState::poll() {
  const std::lock_guard guard(mutex_);
  std::optional<StreamItem> item = take();
  if (!item && bell_ != nullptr) bell_->quiet();
  return item;
}

int StreamState::descriptor() {
  const std::lock_guard guard(mutex_);
  require_open();
  if (bell_ == nullptr) {
    bell_ = std::make_unique<platform::Bell>();
    bell_->ring();  // something may be there already
  }
  return bell_->descriptor();
}

// In the child of a fork the descriptor is the parent's too.
void StreamState::tell_consumers() noexcept {
  ready_.notify_all();
  if (bell_ != nullptr && !orphaned_) bell_->ring();
}

bool StreamState::starved() const {
  const std::lock_guard guard(mutex_);
  return is_starved();
}

bool StreamState::closed() const {
  const std::lock_guard guard(mutex_);
  return stopped_;
}

void StreamState::stop() noexcept {
  const std::lock_guard guard(mutex_);
  stopped_ = true;
  stop_reading_.store(true, std::memory_order_relaxed);
  free_window();
  work_.notify_all();
  tell_consumers();
  end_if_unused();
}

bool StreamState::give_back(void* cookie, bool) noexcept {
  std::shared_ptr<StreamState> last;  // ends it if this was the last user, after the lock
  const std::lock_guard guard(mutex_);
  static_cast<Slot*>(cookie)->use = Use::kFree;
  if (--lent_ == 0) last = std::move(itself_);
  work_.notify_one();
  end_if_unused();
  return false;
}

// The memory goes with the last block, the file with the last thread: before any thread that waits
// for that one continues.
void StreamState::end_if_unused() noexcept {
  if ((!stopped_ && !ended_) || threads_ != 0) return;
  if (file_) {
    try {
      why_not_direct_ = file_->why_not_direct();
    } catch (const std::bad_alloc&) {  // the failure is not reported anywhere
    }
    file_.reset();
  }
  if (lent_ != 0 || memory_.size_bytes == 0) return;
  pool_.drop_fixed(std::move(memory_));
  memory_.size_bytes = 0;
  pool_.unpin();
}

Stream::Figures StreamState::figures() {
  const std::lock_guard guard(mutex_);
  Stream::Figures out;
  out.bytes = bytes_;
  out.direct_bytes = direct_bytes_;
  out.why_not_direct = file_ ? file_->why_not_direct() : why_not_direct_;
  if (out.why_not_direct.empty() && misplaced_)
    out.why_not_direct = "blocks do not begin at a multiple of what direct I/O wants";
  out.node_id = node_of_most();
  out.blocks = static_cast<std::uint32_t>(slots_.size());
  out.block_bytes = block_bytes_;
  return out;
}

}  // namespace numapool
