// Moves memory part by part, by as many threads as help.
#include "memory/move_parts.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "memory/range_placement.hpp"
#include "memory/worker_team.hpp"
#include "numapool/allocator.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/topology.hpp"
#include "platform/locks.hpp"

namespace numapool {
namespace {

// The kernel copies on the CPU of the caller, under few locks. More threads wait for the memory.
constexpr std::size_t kMoveThreads = 4;
// A part takes from tens of milliseconds to two tenths of a second.
constexpr std::size_t kSmallestPart = std::size_t{64} << 20;
constexpr std::size_t kLargestPart = std::size_t{256} << 20;

// The next part to move, and the first failure. Shared by the threads.
class Parts final : public SharedJob {
 public:
  Parts(std::size_t count, const MovePart& part) : count_(count), part_(part) {}

  bool do_piece() noexcept override {
    try {
      const std::size_t at = next_.fetch_add(1, std::memory_order_relaxed);
      if (at >= count_) return false;
      const platform::Status moved = part_(at);
      if (moved) return true;
      const std::lock_guard guard(mutex_);
      if (!failure_) failure_ = moved.failure();
    } catch (const std::bad_alloc&) {
      no_memory_.store(true, std::memory_order_relaxed);
    }
    stop();
    return false;
  }
  void stop() noexcept override { next_.store(count_, std::memory_order_relaxed); }

  // Called when every thread has ended.
  [[nodiscard]] std::optional<platform::Failure> take_failure() {
    if (!failure_ && no_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
    return std::move(failure_);
  }

 private:
  const std::size_t count_;
  const MovePart& part_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> no_memory_{false};
  platform::Mutex mutex_{platform::LockRank::kPopulate};
  std::optional<platform::Failure> failure_;
};

// None if the node has no CPUs, or the machine cannot be read.
std::vector<int> cpus_of(int node) {
  try {
    const SharedTopology topology = topology_for(node);
    const Node* const found = topology->find(node);
    return found == nullptr ? std::vector<int>{} : found->cpus;
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Movers::Movers(int node) : cpus_(cpus_of(node)) {}

std::size_t Movers::threads() const noexcept {
  return std::clamp(cpus_.size(), std::size_t{1}, kMoveThreads);
}

// Two parts for each thread, so that none waits long for another.
std::size_t Movers::part_bytes(std::uint64_t length) const noexcept {
  if (threads() == 1) return kLargestPart;
  const std::uint64_t share = length / (2 * threads());
  const std::uint64_t rounded = (share + kSmallestPart - 1) / kSmallestPart * kSmallestPart;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(rounded, kSmallestPart, kLargestPart));
}

std::optional<platform::Failure> Movers::move(std::size_t count, const MovePart& part,
                                              const InterruptCheck& check) const {
  Parts parts(count, part);
  check();
  const std::size_t some = std::min(count, threads());
  if (some > 1 && run_by_threads(parts, some, cpus_, check)) return parts.take_failure();
  while (parts.do_piece()) check();
  return parts.take_failure();
}

namespace {

// Where the pages of parts were before and are after the move. Shared by the threads.
class MovedParts {
 public:
  void add(const Placement& before, const Placement& after) {
    const std::lock_guard guard(mutex_);
    before_.add(before);
    after_.add(after);
  }
  // When every thread has ended.
  [[nodiscard]] Placement before() { return before_.take(); }
  [[nodiscard]] Placement after() { return after_.take(); }

 private:
  platform::Mutex mutex_{platform::LockRank::kPopulate};  // held while a part is added
  PlacementSum before_;
  PlacementSum after_;
};

bool has_elsewhere(const Placement& placement, int node) {
  return std::ranges::any_of(placement.bytes_by_node,
                             [node](const auto& one) { return one.first != node; });
}

platform::Status move_part(void* address, std::size_t length, const platform::Pages& pages,
                           int node, MovedParts& sum) {
  const auto seen = [&] { return look(address, length, pages, platform::Precision::kExact); };
  const Placement before = seen();
  const auto moved = platform::move_to_node(address, length, pages, node);
  if (!moved) return moved.failure();
  const auto known = after_move(before, node, length, moved.value());
  Placement after = known ? *known : seen();
  if (pages.kind == platform::PageKind::kTransparent && has_elsewhere(after, node)) {
    // Blocks that are huge pages in part only.
    const platform::Pages single{platform::PageKind::kBase, platform::base_page_bytes()};
    const auto rest = platform::move_to_node(address, length, single, node);
    if (!rest) return rest.failure();
    after = seen();
  }
  sum.add(before, after);
  return platform::Done{};
}

}  // namespace

MovedRegion move_in_parts(const Region& region, int node, const InterruptCheck& check) {
  const Movers movers(node);
  const std::size_t part = std::max(movers.part_bytes(region.length), region.pages.bytes);
  MovedParts sum;
  MovedRegion out;
  out.failure = movers.move((region.length + part - 1) / part,
                            [&](std::size_t at) {
                              return move_part(static_cast<char*>(region.address) + at * part,
                                               std::min(part, region.length - at * part),
                                               region.pages, node, sum);
                            },
                            check);
  out.before = sum.before();
  out.after = sum.after();
  return out;
}

}  // namespace numapool
