// Which of several nodes is nearest to a thread, and whose block it was that they were asked for.
#include <algorithm>
#include <utility>

#include "memory/reach.hpp"
#include "numapool/home_node.hpp"
#include "platform/thread.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
namespace {

constexpr std::uint16_t kNoRank = UINT16_MAX;

}  // namespace

// Of the node that the calling thread works for, as try_acquire() has it.
std::optional<std::uint16_t> PoolImpl::slot_here() const noexcept {
  if (const int home = home_node(); home >= 0) return slot_of(home);
  const auto cpu = static_cast<std::size_t>(platform::current_cpu());
  if (cpu >= slot_of_cpu_.size() || slot_of_cpu_[cpu] < 0) return std::nullopt;
  return static_cast<std::uint16_t>(slot_of_cpu_[cpu]);
}

bool PoolImpl::try_acquire_near(std::size_t size_bytes, std::span<const int> nodes,
                                Lease& lease) noexcept {
  const std::optional<std::uint16_t> here = slot_here();
  if (!here) return false;
  for (const int node : nodes) {
    if (!slot_of(node)) return false;  // the slow path reports what is wrong with it
  }
  const int own = nodes_[*here];
  if (std::find(nodes.begin(), nodes.end(), own) != nodes.end())
    return try_acquire(size_bytes, own, lease);
  const Ranks* const ranks = ranks_now_[*here].load(std::memory_order_acquire);
  if (ranks == nullptr) return false;
  int nearest = -1;
  std::uint16_t least = kNoRank;
  for (const int node : nodes) {
    const std::optional<std::uint16_t> slot = slot_of(node);
    if (!slot || ranks->by_slot[*slot] >= least) continue;
    least = ranks->by_slot[*slot];
    nearest = node;
  }
  return nearest >= 0 && try_acquire(size_bytes, nearest, lease);
}

// Once for each node that threads ask from, and again on another machine.
void PoolImpl::work_out_ranks(int here, const SharedTopology& machine) {
  const std::optional<std::uint16_t> slot = slot_of(here);
  if (!slot) return;
  const Ranks* const known = ranks_now_[*slot].load(std::memory_order_acquire);
  if (known != nullptr && known->machine == machine) return;
  auto ranks = std::make_unique<Ranks>();
  ranks->machine = machine;
  ranks->by_slot.assign(nodes_.size(), kNoRank);
  std::uint16_t rank = 0;
  for (const int node : machine->nearest(here)) {
    if (const auto its = slot_of(node)) ranks->by_slot[*its] = rank++;
  }
  const std::lock_guard guard(mutex_);
  ranks->former = std::move(ranks_[*slot]);
  ranks_[*slot] = std::move(ranks);
  ranks_now_[*slot].store(ranks_[*slot].get(), std::memory_order_release);
}

// Throws kNodeNotFound.
void PoolImpl::name_members(Want& want, const NodeIds& nodes) {
  want.machine = allocator_.topology();
  for (const int node : nodes) {
    want.machine = machine_for(node);
    static_cast<void>(want.machine->node(node));
  }
  const int here = node_here(*want.machine);
  want.members = nearest_first(*want.machine, here, nodes);
  want.node = want.members.front();
  work_out_ranks(here, want.machine);
}

// Of several nodes the one that lends counts as the one that was asked for.
void PoolImpl::ask_of_lender(Want& want, const PoolBlock& block) const noexcept {
  if (want.members.empty() || !want.is_for(nodes_[block.slot])) return;
  want.slot = block.slot;
  want.node = nodes_[block.slot];
}

}  // namespace numapool
