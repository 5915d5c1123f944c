// Turns that came up, and the box where an event loop finds them.
#include "numapool/turn.hpp"

#include <mutex>
#include <utility>

namespace numapool {

Turn::~Turn() {
  if (lease && lease->keeper->give_back(lease->cookie, false)) lease->keeper->tidy();
}

TurnBox::TurnBox() { mutex_.tell_of_forks(*this); }

// One by one: a chain of thousands would go down as deep on the stack.
TurnBox::~TurnBox() {
  mutex_.tell_no_more();
  while (first_ != nullptr) first_ = std::exchange(first_->next_, nullptr);
}

void TurnBox::post(std::shared_ptr<Turn> turn) noexcept {
  bool ring = false;
  {
    const std::lock_guard guard(mutex_);
    ring = first_ == nullptr && !silent_;
    Turn* const added = turn.get();
    (first_ == nullptr ? first_ : last_->next_) = std::move(turn);
    last_ = added;
    ++count_;
  }
  if (ring) bell_.ring();
}

// The bell is quiet before the box is looked into: what is posted in between rings again.
std::vector<std::shared_ptr<Turn>> TurnBox::take() {
  std::vector<std::shared_ptr<Turn>> taken;
  std::size_t room = 0;
  {
    const std::lock_guard guard(mutex_);
    if (!silent_) bell_.quiet();
    room = count_;
  }
  taken.reserve(room);  // memory is asked for without the lock
  const std::lock_guard guard(mutex_);
  while (first_ != nullptr && taken.size() < room) {
    taken.push_back(first_);
    first_ = std::exchange(taken.back()->next_, nullptr);
    --count_;
  }
  if (first_ != nullptr && !silent_) bell_.ring();  // the rest is for the next time
  return taken;
}

}  // namespace numapool
