// Makes forks wait for direct reads in flight.
#include "stream/direct_gate.hpp"

#include <atomic>
#include <chrono>
#include <mutex>

#include "platform/locks.hpp"

namespace numapool {
namespace {

constexpr std::chrono::seconds kPatience{1};

struct Gate final : platform::ForkOwner {
  platform::Mutex mutex{platform::LockRank::kDirectReads};
  platform::Condition changed{platform::LockRank::kDirectReads};
  int reads = 0;
  std::atomic<bool> forking{false};  // changed under the mutex
  std::atomic<std::uint32_t> generation{0};

  Gate() { mutex.tell_of_forks(*this); }
  void before_fork(std::unique_lock<std::mutex>& held) noexcept override {
    forking = true;
    changed.wait_for(held, kPatience, [this] { return reads == 0; });
  }
  void after_fork_in_parent() noexcept override {
    forking = false;
    changed.notify_all();
  }
  void after_fork_in_child() noexcept override {
    reads = 0;
    forking = false;
    ++generation;
  }
};

Gate& gate = *new Gate;  // never destroyed: threads may read until the process is gone

}  // namespace

DirectRead::DirectRead() noexcept {
  std::unique_lock<std::mutex> lock(gate.mutex);
  gate.changed.wait(lock, [] { return !gate.forking.load(); });
  ++gate.reads;
}

DirectRead::~DirectRead() {
  const std::lock_guard guard(gate.mutex);
  if (--gate.reads == 0 && gate.forking) gate.changed.notify_all();
}

bool DirectRead::fork_waits() noexcept { return gate.forking.load(std::memory_order_relaxed); }

std::uint32_t DirectRead::generation() noexcept {
  return gate.generation.load(std::memory_order_relaxed);
}

}  // namespace numapool
