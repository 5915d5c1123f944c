// Moves a region part by part, by as many threads as help.
#include "memory/move_parts.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "memory/worker_team.hpp"
#include "numapool/allocator.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/topology.hpp"
#include "platform/locks.hpp"

namespace numapool {
namespace {

// One call for base pages (linux/memory/move_own.cpp). A part takes tens of milliseconds.
constexpr std::size_t kPart = std::size_t{64} << 20;
// The kernel copies on the CPU of the caller, under few locks. More threads wait for the memory.
constexpr std::size_t kMoveThreads = 4;

// The next part to move, and the first failure. Shared by the threads.
class MovedParts final : public SharedJob {
 public:
  MovedParts(const Region& region, const platform::Pages& pages, int node)
      : region_(region), pages_(pages), node_(node), part_(std::max(kPart, region.pages.bytes)) {}

  [[nodiscard]] std::size_t count() const { return (region_.length + part_ - 1) / part_; }

  bool do_piece() noexcept override {
    try {
      const std::size_t at = next_.fetch_add(part_, std::memory_order_relaxed);
      if (at >= region_.length) return false;
      const platform::Status moved =
          platform::move_to_node(static_cast<char*>(region_.address) + at,
                                 std::min(part_, region_.length - at), pages_, node_);
      if (moved) return true;
      const std::lock_guard guard(mutex_);
      if (!failure_) failure_ = moved.failure();
    } catch (const std::bad_alloc&) {
      no_memory_.store(true, std::memory_order_relaxed);
    }
    stop();
    return false;
  }
  void stop() noexcept override { next_.store(region_.length, std::memory_order_relaxed); }

  // Called when every thread has ended.
  [[nodiscard]] std::optional<platform::Failure> take_failure() {
    if (!failure_ && no_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
    return std::move(failure_);
  }

 private:
  const Region& region_;
  const platform::Pages pages_;
  const int node_;
  const std::size_t part_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> no_memory_{false};
  platform::Mutex mutex_{platform::LockRank::kPopulate};
  std::optional<platform::Failure> failure_;
};

// Of the node, whose memory is written. None if it has no CPUs, or the machine cannot be read.
std::vector<int> target_cpus(int node) {
  try {
    const SharedTopology topology = topology_for(node);
    const Node* const found = topology->find(node);
    return found == nullptr ? std::vector<int>{} : found->cpus;
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::optional<platform::Failure> move_in_parts(const Region& region, const platform::Pages& pages,
                                               int node, const InterruptCheck& check) {
  MovedParts parts(region, pages, node);
  check();
  if (parts.count() > 1) {
    const std::vector<int> cpus = target_cpus(node);
    const std::size_t threads = std::min({parts.count(), cpus.size(), kMoveThreads});
    if (threads > 1 && run_by_threads(parts, threads, cpus, check)) return parts.take_failure();
  }
  while (parts.do_piece()) check();
  return parts.take_failure();
}

}  // namespace numapool
