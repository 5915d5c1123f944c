// The fast path: a free block off this CPU's list, and back onto it.
#include "numapool/pool.hpp"

#include <algorithm>

#include "memory/page_choice.hpp"
#include "numapool/home_node.hpp"
#include "platform/process.hpp"
#include "platform/thread.hpp"
#include "pool/pool_idle.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
namespace {

constexpr std::uint64_t kSmallPool = std::uint64_t{64} << 20;  // slabs would take too much of it
constexpr std::int64_t kMostDrift = std::int64_t{4} << 20;

std::size_t cpu_count_of(const Topology& topology) {
  int last = 0;
  for (const Node& node : topology.nodes()) {
    if (!node.cpus.empty()) last = std::max(last, node.cpus.back());
  }
  return static_cast<std::size_t>(last) + 1;
}

std::size_t unit_for(const PageRequest& page) {
  return page.kind == PageRequest::Kind::kHugetlb ? page.hugetlb_bytes
                                                  : platform::base_page_bytes();
}

}  // namespace

Pool* Pool::open(std::shared_ptr<const Topology> topology, const PoolOptions& options) {
  static_cast<void>(choose_pages(1, options.page));  // throws for a page size there is not
  const Allocator allocator(std::move(topology));
  const SharedTopology machine = allocator.topology();  // once: it may change at any time
  return new PoolImpl(allocator, *machine, options);
}

PoolImpl::PoolImpl(Allocator allocator, const Topology& machine, const PoolOptions& options)
    : options_(options),
      allocator_(std::move(allocator)),
      classes_(unit_for(options.page), options.page.kind == PageRequest::Kind::kHugetlb),
      has_slabs_(options.page.kind != PageRequest::Kind::kHugetlb &&
                 options.max_bytes.value_or(kSmallPool) >= kSmallPool),
      pages_of_parts_{platform::PageKind::kBase, platform::base_page_bytes()},
      shard_of_cpu_(cpu_count_of(machine)) {
  nodes_ = machine.possible();
  slot_of_node_.assign(static_cast<std::size_t>(nodes_.back()) + 1, -1);
  for (std::size_t slot = 0; slot < nodes_.size(); ++slot)
    slot_of_node_[static_cast<std::size_t>(nodes_[slot])] = static_cast<std::int32_t>(slot);
  slot_of_cpu_.assign(shard_of_cpu_.size(), -1);
  for (const Node& node : machine.nodes()) {
    const std::int32_t slot = slot_of_node_[static_cast<std::size_t>(node.node_id)];
    for (const int cpu : node.cpus) {
      std::int32_t& owner = slot_of_cpu_[static_cast<std::size_t>(cpu)];
      if (owner < 0) owner = slot;
    }
  }
  // The CPUs of a node that is not used unasked are served from the nearest that is.
  const std::vector<int> unasked = unasked_nodes(machine);
  for (std::int32_t& slot : slot_of_cpu_) {
    if (slot < 0) continue;
    const int node = nearest_unasked(machine, unasked, nodes_[static_cast<std::size_t>(slot)]);
    slot = slot_of_node_[static_cast<std::size_t>(node)];
  }
  books_.resize(nodes_.size());
  ranks_.resize(nodes_.size());
  ranks_now_ = std::vector<std::atomic<const Ranks*>>(nodes_.size());
  order_.resize(nodes_.size());
  holders_ = Holders(nodes_.size(), shard_of_cpu_.size() + 1);
  if (options.retain_bytes) {
    // The bytes that shards have not reported stay below a quarter of the limit; at the limit, all
    // shards are summed.
    const std::uint64_t share = *options.retain_bytes / (4 * shard_of_cpu_.size());
    most_drift_bytes_ = static_cast<std::int64_t>(
        std::min<std::uint64_t>(share, static_cast<std::uint64_t>(kMostDrift)));
  }
  looked_ms_ = platform::coarse_ms();
  page_moves_ = platform::page_moves();
  try {
    make_common_shard(machine);
  } catch (...) {
    drop_shards();
    throw;
  }
  mutex_.tell_of_forks(*this);
}

PoolImpl::~PoolImpl() {
  mutex_.tell_no_more();
  drop_shards();
}

std::optional<std::uint16_t> PoolImpl::slot_of(int node) const noexcept {
  const auto index = static_cast<std::size_t>(node);
  if (node < 0 || index >= slot_of_node_.size() || slot_of_node_[index] < 0) return std::nullopt;
  return static_cast<std::uint16_t>(slot_of_node_[index]);
}

// As try_acquire() has it, where that node is online; else as the allocator has it.
int PoolImpl::node_here(const Topology& machine) const {
  if (const int home = home_node(); machine.find(home) != nullptr) return home;
  const auto cpu = static_cast<std::size_t>(platform::current_cpu());
  if (cpu < slot_of_cpu_.size() && slot_of_cpu_[cpu] >= 0) {
    const int node = nodes_[static_cast<std::size_t>(slot_of_cpu_[cpu])];
    if (machine.find(node) != nullptr) return node;
  }
  return numapool::node_here(machine);
}

// A part of a slab is asked about by base pages, whatever page it lies in.
Region PoolImpl::region_of(const PoolBlock& block) const noexcept {
  if (block.slab == nullptr) return static_cast<const OwnBlock&>(block).mapping.region();
  return {block.address, block_bytes(block), pages_of_parts_};
}

bool PoolImpl::try_acquire(std::size_t size_bytes, int node, Lease& lease) noexcept {
  return lend<false>(size_bytes, node, lease);
}

// Where the lock is taken it starts again, waiting: then nothing has to be kept over the wait.
template <bool waits>
bool PoolImpl::lend(std::size_t size_bytes, int node, Lease& lease) noexcept {
  const int asked_node = node;
  const int cpu = platform::current_cpu();
  if (cpu < 0 || size_bytes == 0) return false;
  const auto here = static_cast<std::size_t>(cpu);
  std::int32_t index = -1;
  if (node < 0) node = home_node();
  if (node < 0) {
    // A CPU that came online since the pool was made: the slow path asks the system for its node.
    if (here < slot_of_cpu_.size()) index = slot_of_cpu_[here];
  } else if (static_cast<std::size_t>(node) < slot_of_node_.size()) {
    index = slot_of_node_[static_cast<std::size_t>(node)];
  }
  const std::size_t asked = classes_.of(size_bytes);
  if (index < 0 || asked >= SizeClasses::kCount) return false;
  const auto slot = static_cast<std::size_t>(index);
  Shard* const own = shard_of(here);
  if (own == nullptr) return false;
  Shard& shard = *own;
  Shelf* const made = shard.shelves[slot].load(std::memory_order_acquire);
  if (made == nullptr) return false;
  Shelf& shelf = *made;
  std::size_t size_class = asked;
  while (shelf.lists[size_class].empty()) {
    if (size_class++ != classes_.last_for(asked)) continue;
    if (!bring_over({shard, shelf}, asked)) return false;
    size_class = asked;
  }
  FreeList& list = shelf.lists[size_class];
  const auto bytes = static_cast<std::int64_t>(classes_.bytes(size_class));
  PoolBlock* block = nullptr;
  if constexpr (waits) {
    shard.lock.lock();
  } else if (!shard.lock.try_lock()) {
    return lend<true>(size_bytes, asked_node, lease);
  }
  {
    const std::lock_guard guard(shard.lock, std::adopt_lock);
    // A block that may have been moved since it was looked at is for the slow path.
    block = list.take(epoch_.load(std::memory_order_relaxed));
    if (block == nullptr) return false;
    shelf.retained_bytes.add(-bytes);
    shelf.in_use_bytes.add(bytes);
    shelf.hits.add(1);
    if (size_class != asked) shelf.larger_hits.add(1);
    shard.live.add(1);
    shard.drift_bytes -= bytes;
  }
  fill(lease, *block, nodes_[slot]);
  return true;
}

// Once the lease is counted back, the pool may end under us, unless we have pinned it before.
//
// Nothing is written to the block unless it changes: its line may be in the cache of the CPU that
// lent it and will lend it again.
bool PoolImpl::give_back(void* cookie, bool moved) noexcept {
  PoolBlock& block = *static_cast<PoolBlock*>(cookie);
  if (moved) {
    const std::uint16_t lent_as = block.slot;
    look_again(block);
    if (block.slot != lent_as) count_moved(lent_as, block);
  }
  return take_back<false>(block);
}

template <bool waits>
bool PoolImpl::take_back(PoolBlock& block) noexcept {
  const std::uint64_t now = platform::coarse_ms();
  if (!block.dirty) block.dirty = true;
  bool work = platform::age_ms(now, looked_ms_.load(std::memory_order_relaxed)) >= kLookEvery ||
              (options_.idle_ms && !idle_runs_.load(std::memory_order_relaxed));
  const Spot spot = spot_here(block.slot);
  Shard& shard = spot.shard;
  if constexpr (waits) {
    shard.lock.lock();
  } else if (!shard.lock.try_lock()) {
    return take_back<true>(block);
  }
  {
    const std::lock_guard guard(shard.lock, std::adopt_lock);
    // Looked at under the lock that close() takes of each shard after it has set it.
    if (!closing_.load(std::memory_order_relaxed) &&
        block.generation == generation_.load(std::memory_order_relaxed)) {
      spot.shelf.in_use_bytes.add(-static_cast<std::int64_t>(block_bytes(block)));
      file(spot, block, now);
      if (options_.retain_bytes) work = near_retention(shard) || work;
      work = work || waiters_.load(std::memory_order_relaxed) != 0;  // see join_line()
      if (work) pins_.fetch_add(1, std::memory_order_relaxed);
      shard.live.add(-1);
      return work;
    }
    work = waiters_.load(std::memory_order_relaxed) != 0;
    if (work) pins_.fetch_add(1, std::memory_order_relaxed);
  }
  block.filed_ms = now;
  retire(block);
  return work;
}

// A block that is lent is counted under another node from now on.
void PoolImpl::count_moved(std::uint16_t from, const PoolBlock& block) noexcept {
  const auto bytes = static_cast<std::int64_t>(block_bytes(block));
  const Spot before = spot_here(from);
  {
    const std::lock_guard guard(before.shard.lock);
    before.shelf.in_use_bytes.add(-bytes);
  }
  const Spot now = spot_here(block.slot);
  const std::lock_guard guard(now.shard.lock);
  now.shelf.in_use_bytes.add(bytes);
}

// True where retain_bytes may be passed: what the shards have not told is less than a quarter of
// it. Far from it, a release looks at a word that seldom changes, and no other CPU waits.
bool PoolImpl::near_retention(Shard& shard) noexcept {
  if (shard.drift_bytes > most_drift_bytes_ || shard.drift_bytes < -most_drift_bytes_) {
    const std::int64_t told = std::exchange(shard.drift_bytes, 0);
    told_retained_bytes_.fetch_add(told, std::memory_order_relaxed);
  }
  const auto limit = static_cast<std::int64_t>(*options_.retain_bytes);
  return told_retained_bytes_.load(std::memory_order_relaxed) >= limit - limit / 4;
}

void PoolImpl::tidy() noexcept {
  look_for_moves();
  if (options_.retain_bytes) settle_retained();
  if (waiters_.load(std::memory_order_relaxed) != 0) {
    if (line_.length.load() != 0) serve_line();
    const std::lock_guard guard(mutex_);
    room_.notify_all();
  }
  if (options_.idle_ms && !idle_runs_.load(std::memory_order_relaxed)) {
    const std::lock_guard guard(mutex_);
    if (!closing_ && !idle_) {
      idle_ = IdleThread::start(*this, *options_.idle_ms);
      idle_runs_.store(idle_ != nullptr, std::memory_order_relaxed);
    }
  }
  unpin();
}

PoolStatistics PoolImpl::statistics() {
  PoolStatistics out;
  look_for_moves();
  const SharedTopology machine = allocator_.topology();
  const std::lock_guard guard(mutex_);
  std::vector<PoolCounts> by_slot(nodes_.size());
  for (const Shelf* shelf = shelves_; shelf != nullptr; shelf = shelf->next) {
    PoolCounts& counts = by_slot[shelf->slot];
    counts.in_use_bytes += shelf->in_use_bytes.get();
    counts.retained_bytes += shelf->retained_bytes.get();
    counts.hits += static_cast<std::uint64_t>(shelf->hits.get());
    counts.larger_hits += static_cast<std::uint64_t>(shelf->larger_hits.get());
    counts.misses += static_cast<std::uint64_t>(shelf->misses.get());
    counts.spills += static_cast<std::uint64_t>(shelf->spills.get());
  }
  for (std::size_t slot = 0; slot < nodes_.size(); ++slot) {
    PoolCounts& counts = by_slot[slot];
    counts.trimmed_bytes = books_[slot].trimmed_bytes;
    counts.high_water_bytes = books_[slot].high_water_bytes;
    out.total.in_use_bytes += counts.in_use_bytes;
    out.total.retained_bytes += counts.retained_bytes;
    out.total.hits += counts.hits;
    out.total.larger_hits += counts.larger_hits;
    out.total.misses += counts.misses;
    out.total.spills += counts.spills;
    out.total.trimmed_bytes += counts.trimmed_bytes;
    // Nodes that may come, and those that went, are left out until there is something to tell.
    if (machine->find(nodes_[slot]) != nullptr || counts != PoolCounts{})
      out.by_node.emplace(nodes_[slot], counts);
  }
  out.total.high_water_bytes = high_water_bytes_;
  return out;
}

}  // namespace numapool
