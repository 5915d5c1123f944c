// Blocks made of an allocation: one of its own, or a slab cut into many.
#include <memory>
#include <utility>

#include "platform/process.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {

PoolBlock* PoolImpl::own(Allocation&& allocation, std::size_t size_class, std::uint16_t slot) {
  auto block = std::make_unique<OwnBlock>();
  block->mapping = std::move(allocation.block.mapping);
  block->address = static_cast<char*>(block->mapping.address());
  block->place = FiledPlace(allocation.block.place);
  block->epoch = epoch_.load(std::memory_order_relaxed);
  block->generation = generation_.load(std::memory_order_relaxed);
  block->size_class = static_cast<std::uint16_t>(size_class);
  block->slot = slot;
  return block.release();
}

// The first block of a new slab; the others go to this CPU's list.
PoolImpl::Got PoolImpl::cut(Allocation&& allocation, std::size_t size_class, std::uint16_t slot) {
  auto slab = std::make_unique<Slab>();
  const std::size_t bytes = classes_.bytes(size_class);
  slab->mapping = std::move(allocation.block.mapping);
  slab->count = static_cast<std::uint32_t>(kSlabBytes / bytes);
  slab->slot = slot;
  slab->blocks = std::make_unique<PoolBlock[]>(slab->count);
  auto* const begin = static_cast<char*>(slab->mapping.address());
  const std::uint64_t now = platform::coarse_ms();
  for (std::uint32_t i = 0; i < slab->count; ++i) {
    PoolBlock& block = slab->blocks[i];
    block.address = begin + i * bytes;
    block.slab = slab.get();
    block.place = FiledPlace(allocation.block.place);
    // If a slab's pages are on several nodes, the node of each block is unknown.
    block.epoch = block.place.step == AllocationStep::kAny ? 0 : epoch_.load();
    block.generation = generation_.load();
    block.filed_ms = now;
    block.size_class = static_cast<std::uint16_t>(size_class);
    block.slot = slot;
  }
  {
    const std::lock_guard guard(mutex_);
    slabs_[size_class].push_back(slab.get());
  }
  Slab* const kept = slab.release();
  // The slab stays as long as its first block, which is ours, is not with the system.
  for (std::uint32_t i = kept->count - 1; i > 0; --i) {
    PoolBlock* other = &kept->blocks[i];
    put(other);
  }
  if (kept->blocks[0].epoch == 0) look_again(kept->blocks[0]);
  return {&kept->blocks[0], kept->count};
}

}  // namespace numapool
