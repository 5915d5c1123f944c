// Forks: the child has the blocks that are out, and none of the threads.
#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "platform/process.hpp"
#include "stream_state.hpp"

namespace numapool {
namespace {

// Lock order: before every stream's mutex. Never destroyed: blocks may outlive static objects.
struct Registry {
  std::mutex mutex;
  std::vector<StreamState*> streams;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

void before() {
  registry().mutex.lock();
  for (StreamState* const one : registry().streams) one->before_fork();
}

void in_parent() {
  for (StreamState* const one : registry().streams) one->after_fork_in_parent();
  registry().mutex.unlock();
}

void in_child() {
  for (StreamState* const one : registry().streams) one->after_fork_in_child();
  registry().mutex.unlock();
}

}  // namespace

void register_stream(StreamState* state) {
  static const bool watched = platform::on_fork(before, in_parent, in_child);
  static_cast<void>(watched);
  const std::lock_guard guard(registry().mutex);
  registry().streams.push_back(state);
}

void forget_stream(StreamState* state) noexcept {
  const std::lock_guard guard(registry().mutex);
  std::erase(registry().streams, state);
}

// What was being read into is nobody's: its bytes may be anything.
void StreamState::after_fork_in_child() noexcept {
  for (Slot& slot : slots_) {
    if (slot.use == Use::kReading) slot.use = Use::kFree;
  }
  free_window();
  threads_ = 0;
  stopped_ = true;
  orphaned_ = true;
  ::new (static_cast<void*>(&work_)) std::condition_variable;  // their waiters are the parent's
  ::new (static_cast<void*>(&ready_)) std::condition_variable;
  mutex_.unlock();
}

}  // namespace numapool
