// The slow path: a block by every means, along the chain of nodes, and reserves.
#include <algorithm>
#include <new>
#include <utility>

#include "memory/nothrow_calls.hpp"
#include "memory/range_placement.hpp"
#include "memory/reach.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"
#include "platform/process.hpp"
#include "platform/thread.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
namespace {

constexpr const char* kReserveLess = "reserve smaller blocks, or raise max_bytes";

// Populates the region; false where it fails, or its pages come from another node.
bool comes_back(const Region& region, int node) noexcept {
  try {
    if (!platform::populate(region.address, region.length, region.pages)) return false;
    const Placement seen =
        look(region.address, region.length, region.pages, platform::Precision::kExact);
    return seen.unknown_bytes != 0 || seen.wholly_on(node, region.length);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

void PoolImpl::require_open() const {
  if (closed()) throw Error(ErrorKind::kClosed, "the pool is closed");
}

// As it was last seen, where that will do: a node with memory that went shows in what the system
// answers. A node that is known to have none for this process is looked at once a second: requests
// for it may well be hits.
SharedTopology PoolImpl::machine_for(int node) {
  SharedTopology known = allocator_.topology();
  if (known->is_usable(node)) return known;
  const std::uint64_t now = platform::coarse_ms();
  std::uint64_t last = nodes_looked_ms_.load(std::memory_order_relaxed);
  if (known->find(node) != nullptr && (platform::age_ms(now, last) < kLookEvery ||
                                       !nodes_looked_ms_.compare_exchange_strong(last, now)))
    return known;
  return allocator_.topology_for(node);
}

// Before memory is asked for: whether the machine is another by now, with the node as it is.
bool PoolImpl::finds_change(Want& want) const {
  if (want.looked || want.machine->is_usable(want.node)) return false;
  want.looked = true;
  SharedTopology now = allocator_.topology_for(want.node);
  if (now == want.machine) return false;
  want.machine = std::move(now);
  return true;
}

PoolImpl::Want PoolImpl::wanted(std::size_t size_bytes, const NodeIds& nodes) {
  require_open();
  if (size_bytes == 0) throw Error(ErrorKind::kInvalidArgument, "size_bytes must be at least 1");
  Want want;
  if (size_bytes > SizeClasses::kLargestBytes) {
    throw Error(ErrorKind::kNoMemory, "cannot allocate " + std::to_string(size_bytes) +
                                          " bytes: no block of a pool is larger than " +
                                          size_text(SizeClasses::kLargestBytes));
  }
  want.size_class = classes_.of(size_bytes);
  want.named = !nodes.empty();
  if (nodes.size() > 1) {
    name_members(want, nodes);
  } else {
    want.node = want.named ? nodes.ids().front() : node_here(*allocator_.topology());
    want.machine = machine_for(want.node);
  }
  static_cast<void>(want.machine->node(want.node));  // throws kNodeNotFound
  const std::optional<std::uint16_t> slot = open_slot(want.node);
  if (!slot) {
    if (slot_of(want.node)) throw std::bad_alloc();
    throw Error(
        ErrorKind::kNodeNotFound,
        "the pool cannot use node " + std::to_string(want.node) +
            ": the system did not list it as possible when the pool was made. Make a new pool");
  }
  want.slot = *slot;
  return want;
}

Lease PoolImpl::acquire(const AcquireRequest& request, const InterruptCheck& check,
                        const Degraded& degraded) {
  const LineCare care(*this);
  Want want = wanted(request.size_bytes, request.nodes);
  want.strict = request.strict;
  const std::uint64_t bytes = classes_.bytes(want.size_class);
  require_fits(request.size_bytes, bytes, "ask for less, or raise max_bytes");
  const std::uint64_t begin_ms = platform::coarse_ms();
  while (true) {
    const Got got = find(want, check, degraded);
    if (got.block != nullptr) {
      Lease lease;
      lend_found(want, got, lease);
      return lease;
    }
    if (!request.wait_ms)
      throw exhausted(bytes, "", "close buffers, wait with block=True, or raise max_bytes");
    if (platform::age_ms(platform::coarse_ms(), begin_ms) >= *request.wait_ms) {
      throw exhausted(bytes, "after " + std::to_string(*request.wait_ms) + " ms ",
                      "close buffers, wait longer, or raise max_bytes");
    }
    wait_for_room(check);
    require_open();
  }
}

void PoolImpl::lend_found(Want& want, const Got& got, Lease& lease) noexcept {
  ask_of_lender(want, *got.block);
  count_lent(*got.block, want, got.made == 0);
  fill(lease, *got.block, want.node);
}

// Nodes by distance, worked out when a node is first asked for, and again on another machine: of a
// thousand nodes it takes a while. Not kept for several nodes: there are too many sets of them.
std::shared_ptr<const PoolImpl::Order> PoolImpl::order_from(const Want& want) {
  if (!want.members.empty()) {
    auto order = std::make_shared<Order>();
    order->machine = want.machine;
    for (const std::vector<int>& group : nodes_by_distance(*want.machine, want.members))
      order->nodes.insert(order->nodes.end(), group.begin(), group.end());
    order->asked = static_cast<std::size_t>(std::count_if(
        order->nodes.begin(), order->nodes.end(), [&](int node) { return want.is_for(node); }));
    return order;
  }
  {
    const std::lock_guard guard(mutex_);
    const auto& kept = order_[want.slot];
    if (kept != nullptr && kept->machine == want.machine) return kept;
  }
  auto order = std::make_shared<Order>();
  order->machine = want.machine;
  for (const std::vector<int>& group : nodes_by_distance(*want.machine, want.node))
    order->nodes.insert(order->nodes.end(), group.begin(), group.end());
  std::shared_ptr<const Order> former = order;
  const std::lock_guard guard(mutex_);
  order_[want.slot].swap(former);  // which goes unlocked
  return order;
}

// The order: retained on the node, new on it, and the same for the next nearest node. Before going
// to a node that is farther away: new memory split over the nearer ones. Last: new memory anywhere.
// Empty if max_bytes leaves no room.
PoolImpl::Got PoolImpl::find(Want want, const InterruptCheck& check, const Degraded& degraded) {
  for (std::size_t at = 0; at < want.members.size() && !want.reserves; ++at) {
    const std::optional<std::uint16_t> slot = open_slot(want.members[at]);
    PoolBlock* const block = slot ? take_retained(want, *slot) : nullptr;
    if (block != nullptr) return {block, 0};
  }
  const std::shared_ptr<const Order> by_distance = order_from(want);
  const std::vector<int>& order = by_distance->nodes;
  const std::size_t bytes = classes_.bytes(want.size_class);
  std::string reason = "it has no memory, or this process is not allowed to use it";
  const auto make_or_trim = [&](int node, Reach reach) {
    try {
      return make(want, node, reach, check, degraded, reason);
    } catch (const Error& error) {
      // The machine is short of memory: blocks retained for other sizes go first. For a reserve,
      // blocks of the same size stay, as it adds to them.
      if (error.kind() != ErrorKind::kNoMemory || want.reserves ||
          trim(std::uint64_t{bytes}, std::nullopt) == 0)
        throw;
      return make(want, node, reach, check, degraded, reason);
    }
  };
  bool at_limit = false;
  for (std::size_t at = 0; at < order.size(); ++at) {
    const int node = order[at];
    if (want.strict && !want.is_for(node)) break;
    const std::optional<std::uint16_t> opened = open_slot(node);
    if (!opened) continue;
    const std::uint16_t slot = *opened;
    if (!want.reserves) {
      if (PoolBlock* const block = take_retained(want, slot)) return {block, 0};
    }
    if (finds_change(want)) return find(std::move(want), check, degraded);
    if (!at_limit && (want.strict || !recently_full(slot, bytes))) {
      const Got got = make_or_trim(node, Reach::kNode);
      if (got.block != nullptr) return got;
      at_limit = reason.empty();
    }
    if (at_limit || !farther_next(want, *by_distance, at) || recently_full_together(want, slot))
      continue;
    const Got got = make_or_trim(node, Reach::kAsFarAs);
    if (got.block != nullptr) return got;
    at_limit = reason.empty();
  }
  if (at_limit) return {};
  if (finds_change(want)) return find(std::move(want), check, degraded);
  if (want.strict) {
    throw Error(ErrorKind::kPlacement, "cannot place " + size_text(bytes) + " on " +
                                           nodes_text(want.asked().ids()) + " alone: " + reason +
                                           "; nothing was kept");
  }
  return make_or_trim(want.node, Reach::kAnywhere);
}

// Whether several nodes were tried alone, and the next one is farther away than the last of them,
// or was not asked for: then a large block may be split over those.
bool PoolImpl::farther_next(const Want& want, const Order& order, std::size_t at) const {
  const std::vector<int>& nodes = order.nodes;
  if (at == 0 || classes_.bytes(want.size_class) < kLookBytes || at + 1 < order.asked) return false;
  if (at + 1 == order.asked) return true;
  if (want.strict || at + 1 == nodes.size()) return false;
  const Topology& machine = *order.machine;
  return machine.distance(want.node, nodes[at + 1]) != machine.distance(want.node, nodes[at]);
}

bool PoolImpl::uses_slabs(std::size_t size_class) const noexcept {
  return has_slabs_ && classes_.bytes(size_class) <= kLargestSlabBlock;
}

// Returns its bytes to the budget unless they were used.
class PoolImpl::Budget {
 public:
  Budget(PoolImpl& pool, std::uint64_t bytes, bool reserves, bool later)
      : pool_(pool), bytes_(bytes), used_(pool.reserve_budget(bytes, reserves, later)) {}
  ~Budget() {
    if (used_) pool_.release_budget(bytes_);
  }
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  explicit operator bool() const noexcept { return used_.has_value(); }
  void spend(std::uint16_t on) noexcept {
    pool_.spend_budget(bytes_, *used_, on);
    used_.reset();
  }

 private:
  PoolImpl& pool_;
  std::uint64_t bytes_;
  std::optional<std::uint64_t> used_;  // before this; nothing: no room, or spent
};

// A new block on `node`, or as far as `reach` says. Nothing, with the reason, where that cannot
// hold it; nothing and no reason at max_bytes.
PoolImpl::Got PoolImpl::make(const Want& want, int node, Reach reach, const InterruptCheck& check,
                             const Degraded& degraded, std::string& reason) {
  const std::uint16_t slot = open_slot(node).value_or(want.slot);
  const std::size_t bytes = classes_.bytes(want.size_class);
  if (uses_slabs(want.size_class)) {
    if (PoolBlock* const block = refill(want, slot)) return {block, 1};
  }
  for (const bool slab : {true, false}) {
    if (slab && !uses_slabs(want.size_class)) continue;
    reason.clear();
    AllocationRequest request;
    request.size_bytes = slab ? kSlabBytes : bytes;
    if (reach == Reach::kNode &&
        !make_room_on(node, slot, request.size_bytes, !want.reserves, reason)) {
      remember_full(slot, request.size_bytes);
      continue;  // one block may fit where a slab does not
    }
    // If the node turns out to be full, a block retained on a farther node must still be there.
    Budget budget(*this, request.size_bytes, want.reserves, retains(want.size_class));
    if (!budget) continue;
    request.nodes = reach == Reach::kNode ? NodeIds(node) : want.asked();
    request.page = options_.page;
    request.strict = want.strict;
    request.core_dump = options_.core_dump;
    std::optional<Allocation> got;
    try {
      if (reach == Reach::kAnywhere || want.strict) {
        got = allocator_.allocate(request, check);
      } else {
        Allocator::Attempt attempt = reach == Reach::kNode
                                         ? allocator_.try_preferred(request, check)
                                         : allocator_.try_as_far_as(request, node, check);
        got = std::move(attempt.allocation);
        reason = attempt.reason.empty() ? "it is full" : attempt.reason;
      }
    } catch (const Error& error) {
      const bool short_of_it =
          error.kind() == ErrorKind::kPlacement || error.kind() == ErrorKind::kNoMemory;
      // Another of the nodes may do.
      const bool goes_on = want.strict && !want.members.empty() && reach == Reach::kNode &&
                           error.kind() == ErrorKind::kPlacement;
      const bool gone = error.kind() == ErrorKind::kNodeNotFound && reach != Reach::kAnywhere &&
                        (node != want.node || !want.named);
      if (!gone && !goes_on && (!slab || !short_of_it)) throw;
      reason = error.message();
    }
    if (got) {
      const auto landed = got->block.place.node_id;
      const std::uint16_t on = (landed ? open_slot(*landed) : std::nullopt).value_or(slot);
      if (degraded) {
        for (const Degradation& one : got->degradations) degraded(one);
      }
      // For several nodes that were asked for: none of them has room for all of it, or that is not
      // known yet.
      const bool shared = !want.members.empty() && reach != Reach::kNode;
      if (shared && got->block.place.step == AllocationStep::kPreferred)
        got->block.place.step = AllocationStep::kAny;
      const Got made = slab ? cut(*std::move(got), want.size_class, on)
                            : Got{own(*std::move(got), want.size_class, on), 1};
      budget.spend(on);
      if (shared && !slab) look_again(*made.block);
      return made;
    }
    if (reach == Reach::kAsFarAs) {
      if (want.members.empty()) remember_full_together(want, slot);
    } else {
      remember_full(slot, request.size_bytes);
    }
  }
  return {};
}

// A block of a slab whose pages went back in a trim, populated again; empty if there is none, or
// its pages come from elsewhere.
PoolBlock* PoolImpl::refill(const Want& want, std::uint16_t slot) {
  PoolBlock* block = nullptr;
  const std::size_t bytes = classes_.bytes(want.size_class);
  {
    const std::lock_guard guard(mutex_);
    for (Slab* const slab : slabs_[want.size_class]) {
      if (slab->hollow == 0 || slab->slot != slot) continue;
      PoolBlock* const end = slab->blocks.get() + slab->count;
      block =
          std::find_if(slab->blocks.get(), end, [](const PoolBlock& one) { return one.hollow; });
      block->hollow = false;
      --slab->hollow;
      break;
    }
  }
  if (block == nullptr) return nullptr;
  Budget budget(*this, bytes, want.reserves, false);
  if (budget) {
    const Region region = region_of(*block);
    if (comes_back(region, nodes_[slot])) {
      block->dirty = false;
      block->slot = slot;
      if (block->place.step != AllocationStep::kUnbound)
        block->place.step = AllocationStep::kPreferred;
      block->place.node_id = nodes_[slot];
      block->epoch = epoch_.load(std::memory_order_relaxed);
      block->generation = generation_.load(std::memory_order_relaxed);
      budget.spend(slot);
      return block;
    }
    static_cast<void>(succeeds([&] { return platform::discard(region.address, region.length); }));
  }
  std::unique_ptr<Slab> unused;  // unmapped without the lock
  const std::lock_guard guard(mutex_);
  unused = hollow_out(*block);
  return nullptr;
}

// Its pages are where block.slot says.
void PoolImpl::count_lent(PoolBlock& block, const Want& want, bool hit) noexcept {
  const Spot asked = spot_here(want.slot);
  {
    const std::lock_guard guard(asked.shard.lock);
    (hit ? asked.shelf.hits : asked.shelf.misses).add(1);
    if (hit && block.size_class != want.size_class) asked.shelf.larger_hits.add(1);
    if (block.slot != want.slot) asked.shelf.spills.add(1);
  }
  const Spot lends = spot_here(block.slot);
  if (!hit) give_top(lends, block.size_class);
  const std::lock_guard guard(lends.shard.lock);
  lends.shelf.in_use_bytes.add(static_cast<std::int64_t>(block_bytes(block)));
  lends.shard.live.add(1);
}

NodeIds PoolImpl::nodes_to_reserve(std::size_t size_bytes, const NodeIds& nodes) {
  const Want want = wanted(size_bytes, nodes);
  require_fits(size_bytes, classes_.bytes(want.size_class), kReserveLess);
  return nodes.empty() ? NodeIds(want.node) : nodes;
}

std::uint64_t PoolImpl::reserve(std::size_t size_bytes, const NodeIds& nodes, std::uint64_t already,
                                const InterruptCheck& check, const Degraded& degraded) {
  const LineCare care(*this);
  Want want = wanted(size_bytes, nodes);
  want.reserves = true;
  const std::uint64_t bytes = classes_.bytes(want.size_class);
  require_fits(size_bytes, bytes, kReserveLess);
  const char* const remedy = "reserve fewer blocks, close buffers, or raise max_bytes";
  if (options_.max_bytes) {
    const std::uint64_t more = uses_slabs(want.size_class) ? kSlabBytes : bytes;
    const std::uint64_t stay = used_bytes(false) + already * bytes;
    if (stay + more > *options_.max_bytes) throw exhausted(bytes, "", remedy);
  }
  Got got = find(want, check, degraded);
  if (got.block == nullptr) throw exhausted(bytes, "", remedy);
  put(got.block);
  return got.made;
}

}  // namespace numapool
