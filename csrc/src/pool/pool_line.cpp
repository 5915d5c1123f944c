// The line of those who wait for room without a thread. Whoever makes room serves the first in it.
//
// The line is served by one thread at a time, in the order in which requests came, and at the end
// of everything that may have made room: a block that came back, a trim, a ring that went. Nobody
// looks from time to time, so no such moment may be missed (join_line()).
#include <mutex>
#include <utility>

#include "platform/locks.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

// One request in line. What is below is guarded by line_mutex_; the rest is of whoever serves it.
struct PoolImpl::Waiter final : Turn {
  enum class State : std::uint8_t { kWaiting, kServed, kLeft, kOver };

  Want want;
  std::shared_ptr<TurnBox> box;

  State state = State::kWaiting;
  Waiter* before = nullptr;
  Waiter* after = nullptr;
  std::shared_ptr<Waiter> itself;  // while it is in line
};

PoolImpl::Line::~Line() { drop(lost); }

// One by one: they may be thousands, of a line that a fork left behind.
void PoolImpl::Line::drop(Waiter* first) noexcept {
  while (first != nullptr) {
    const std::shared_ptr<Waiter> gone = std::move(first->itself);
    first = first->after;
  }
}

void PoolImpl::Line::add(std::shared_ptr<Waiter> waiter) noexcept {
  Waiter* const added = waiter.get();
  added->before = last;
  (last == nullptr ? first : last->after) = added;
  last = added;
  added->itself = std::move(waiter);
  length.fetch_add(1);
}

std::shared_ptr<PoolImpl::Waiter> PoolImpl::Line::remove(Waiter& waiter) noexcept {
  (waiter.before == nullptr ? first : waiter.before->after) = waiter.after;
  (waiter.after == nullptr ? last : waiter.after->before) = waiter.before;
  length.fetch_sub(1);
  return std::move(waiter.itself);
}

// In the child of a fork: those who wait are the parent's, and so is who was serving them. Nothing
// may be freed now.
void PoolImpl::Line::leave_to_parent() noexcept {
  for (Waiter* one = first; one != nullptr; one = one->after) one->state = Waiter::State::kOver;
  if (last != nullptr) {
    last->after = lost;
    lost = std::exchange(first, nullptr);
    last = nullptr;
  }
  length = 0;
  served = false;
}

// The request's nodes are those of the thread that asks, not of the one that will serve it.
std::shared_ptr<Turn> PoolImpl::join_line(const AcquireRequest& request,
                                          std::shared_ptr<TurnBox> box, const TurnMark& mark,
                                          Lease& lease, const InterruptCheck& check,
                                          const Degraded& degraded) {
  const LineCare care(*this);
  auto waiter = std::make_shared<Waiter>();
  waiter->mark = mark;
  waiter->size_bytes = request.size_bytes;
  waiter->box = std::move(box);
  waiter->want = wanted(request.size_bytes, request.nodes);
  waiter->want.strict = request.strict;
  require_fits(request.size_bytes, classes_.bytes(waiter->want.size_class),
               "ask for less, or raise max_bytes");
  if (line_.length.load() == 0) {
    Want want = waiter->want;
    const Got got = find(want, check, degraded);
    if (got.block != nullptr) {
      lend_found(want, got, lease);
      return nullptr;
    }
  }
  Waiter* lost = nullptr;
  bool alone = false;
  {
    const std::lock_guard guard(line_mutex_);
    alone = line_.first == nullptr;
    lost = std::exchange(line_.lost, nullptr);
    line_.add(waiter);
    waiters_.fetch_add(1);
  }
  Line::drop(lost);
  // Who gives a block back looks for waiters under its shard's lock: once each of them was taken,
  // either the block is on its list or the waiter was seen.
  for (Shard* shard = shards_; alone && shard != nullptr; shard = shard->next) {
    const std::lock_guard guard(shard->lock);
  }
  return waiter;  // served, if there is room by now, as `care` ends
}

bool PoolImpl::leave_line(Turn& turn) noexcept {
  auto& waiter = static_cast<Waiter&>(turn);
  std::shared_ptr<Waiter> gone;
  {
    const std::lock_guard guard(line_mutex_);
    if (waiter.state == Waiter::State::kOver) return false;
    if (waiter.state == Waiter::State::kWaiting) {
      waiter.state = Waiter::State::kOver;
      gone = line_.remove(waiter);
      waiters_.fetch_sub(1);
    } else {
      waiter.state = Waiter::State::kLeft;  // its server gives back what it finds
    }
  }
  const LineCare care(*this);  // the next one may want less
  return true;
}

// Whether the request is over, by a lease or an error.
bool PoolImpl::serve(Waiter& waiter) noexcept {
  try {
    require_open();
    if (!may_fit(classes_.bytes(waiter.want.size_class))) return false;
    Want want = waiter.want;
    const Got got = find(
        want, [] {}, [&waiter](const Degradation& one) { waiter.degradations.push_back(one); });
    if (got.block == nullptr) return false;
    Lease lease;
    lend_found(want, got, lease);
    waiter.lease = lease;
  } catch (const Error& error) {
    waiter.error = error;
  } catch (const std::bad_alloc&) {
    waiter.error = Error(ErrorKind::kNoMemory, "no memory is left to look for a block");
  }
  return true;
}

// No lock is held, and the pool is pinned. Of a line that somebody serves already, that thread sees
// to what came up meanwhile; what it does on its way to serve calls this too, and is no news.
void PoolImpl::serve_line() noexcept {
  {
    const std::lock_guard guard(line_mutex_);
    if (line_.served) {
      if (line_.server != std::this_thread::get_id()) line_.again = true;
      return;
    }
    line_.served = true;
    line_.server = std::this_thread::get_id();
  }
  while (true) {
    Waiter* first = nullptr;
    {
      const std::lock_guard guard(line_mutex_);
      first = line_.first;
      line_.again = false;
      if (first == nullptr) {
        line_.served = false;
        return;
      }
      first->state = Waiter::State::kServed;
    }
    const bool over = serve(*first);
    std::shared_ptr<Waiter> done;
    bool left = false;
    {
      const std::lock_guard guard(line_mutex_);
      left = first->state == Waiter::State::kLeft;
      if (!over && !left) {
        first->state = Waiter::State::kWaiting;
        if (line_.again) continue;
        line_.served = false;
        return;
      }
      first->state = Waiter::State::kOver;
      done = line_.remove(*first);
      waiters_.fetch_sub(1);
    }
    if (!left) {
      const std::shared_ptr<TurnBox> box = std::move(done->box);
      box->post(std::move(done));
    }
  }
}

}  // namespace numapool
