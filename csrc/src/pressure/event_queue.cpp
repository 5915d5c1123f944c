// The events that a subscriber has not fetched yet.
#include <new>

#include "numapool/pressure.hpp"

namespace numapool {

void EventQueue::post(const PressureEvent& event) noexcept {
  {
    const std::lock_guard guard(mutex_);
    if (closed_) return;
    if (events_.size() >= kMost) {
      events_.pop_front();
      ++dropped_;
    }
    try {
      events_.push_back(event);
    } catch (const std::bad_alloc&) {
      ++dropped_;
      return;
    }
  }
  bell_.ring();
}

std::vector<PressureEvent> EventQueue::take() {
  bell_.quiet();
  const std::lock_guard guard(mutex_);
  std::vector<PressureEvent> out(events_.begin(), events_.end());
  events_.clear();
  return out;
}

void EventQueue::close() noexcept {
  {
    const std::lock_guard guard(mutex_);
    closed_ = true;
    events_.clear();
  }
  bell_.ring();
}

bool EventQueue::closed() const noexcept {
  const std::lock_guard guard(mutex_);
  return closed_;
}

std::uint64_t EventQueue::dropped() const noexcept {
  const std::lock_guard guard(mutex_);
  return dropped_;
}

}  // namespace numapool
