// Keeps forks away from direct reads that are on their way.
#include "direct_gate.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#include "platform/process.hpp"

namespace numapool {
namespace {

constexpr std::chrono::seconds kPatience{1};

// Never destroyed: threads may read until the process is gone.
struct Gate {
  std::mutex mutex;  // a leaf
  std::condition_variable changed;
  int reads = 0;
  bool forking = false;
};

Gate& gate() {
  static Gate* const instance = new Gate;
  return *instance;
}

// The mutex stays locked over the fork, so that the child's is in order.
void before() {
  std::unique_lock lock(gate().mutex);
  gate().forking = true;
  gate().changed.wait_for(lock, kPatience, [] { return gate().reads == 0; });
  lock.release();
}

void in_parent() {
  gate().forking = false;
  gate().mutex.unlock();
  gate().changed.notify_all();
}

void in_child() {
  gate().reads = 0;
  gate().forking = false;
  ::new (static_cast<void*>(&gate().changed)) std::condition_variable;  // its waiters are not here
  gate().mutex.unlock();
}

}  // namespace

DirectRead::DirectRead() noexcept {
  static const bool watched = platform::on_fork(before, in_parent, in_child);
  static_cast<void>(watched);
  std::unique_lock lock(gate().mutex);
  gate().changed.wait(lock, [] { return !gate().forking; });
  ++gate().reads;
}

DirectRead::~DirectRead() {
  const std::lock_guard guard(gate().mutex);
  if (--gate().reads == 0 && gate().forking) gate().changed.notify_all();
}

}  // namespace numapool
