// The memory that this process may still use: all limits, behind one lock, for all threads.
#include <unistd.h>

#include <mutex>

#include "platform/linux/memory/memory_bounds.hpp"
#include "platform/locks.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

// The files looked at before each large allocation, kept open. Under the lock the kernel alone is
// asked.
class Accounts {
 public:
  template <class Look>
  auto look(const Look& look) {
    const std::lock_guard guard(mutex_);
    if (owner_ != getpid()) {
      owner_ = getpid();
      bounds_.forget_self();
    }
    return look(bounds_);
  }

 private:
  Mutex mutex_{LockRank::kAvailable};
  pid_t owner_ = -1;
  MemoryBounds bounds_;
};

Accounts& accounts = *new Accounts;  // buffers may be allocated while the interpreter shuts down

}  // namespace

std::vector<Bound> memory_bounds() {
  return accounts.look([](MemoryBounds& bounds) { return bounds.look(); });
}

std::vector<Bound> hugetlb_bounds(std::size_t page_bytes) {
  return accounts.look([&](MemoryBounds& bounds) { return bounds.look_hugetlb(page_bytes); });
}

Result<NodeRoom> node_room(int node) {
  return accounts.look([&](MemoryBounds& bounds) { return bounds.room(node); });
}

}  // namespace numapool::platform
