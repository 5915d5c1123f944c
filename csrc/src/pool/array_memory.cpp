// Implements malloc(3)'s terms over a pool.
#include "numapool/array_memory.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <span>
#include <utility>

#include "numapool/error.hpp"
#include "pool/blocks_by_address.hpp"

namespace numapool {
namespace {

// Zeroing less than this takes no longer than letting others run would.
constexpr std::size_t kZeroAtOnce = 1U << 20U;

void give_back(const Lease& lease) noexcept {
  if (lease.keeper->give_back(lease.cookie, false)) lease.keeper->tidy();
}

}  // namespace

ArrayMemory::ArrayMemory(Pool& pool, ArrayMemoryOptions options, const SmallMemory& small,
                         Slowly slowly) noexcept
    : pool_(pool), options_(std::move(options)), small_(small), slowly_(std::move(slowly)) {
  pool_.pin();
}

ArrayMemory::~ArrayMemory() { pool_.unpin(); }

// Asked again where the pool lent nothing: it may have been closed meanwhile.
bool ArrayMemory::is_small(std::size_t bytes) const noexcept {
  return bytes < kLeastBytes || pool_.closed();
}

bool ArrayMemory::take(std::size_t bytes, bool may_let_go, Lease& lease) noexcept {
  const std::span<const int> nodes = options_.nodes.ids();
  bool taken = !options_.strict &&
               (nodes.size() < 2 ? pool_.try_acquire(bytes, nodes.empty() ? -1 : nodes[0], lease)
                                 : pool_.try_acquire_near(bytes, nodes, lease));
  if (!taken) {
    const auto acquire = [&]() noexcept {
      try {
        AcquireRequest request;
        request.size_bytes = bytes;
        request.nodes = options_.nodes;
        request.strict = options_.strict;
        lease = pool_.acquire(request, [] {}, [](const Degradation&) {});
        taken = true;
      } catch (const std::exception&) {  // malloc(3) has no other way to report failure
        taken = false;
      }
    };
    may_let_go ? slowly_(std::ref(acquire)) : acquire();
  }
  if (!taken) return false;
  if (lent_blocks().add(lease, bytes)) return true;
  give_back(lease);
  return false;
}

void ArrayMemory::zero(const Lease& lease, std::size_t bytes) const noexcept {
  const auto clear = [&]() noexcept { std::memset(lease.region.address, 0, bytes); };
  bytes <= kZeroAtOnce ? clear() : slowly_(std::ref(clear));
}

void* ArrayMemory::allocate_large(std::size_t bytes) noexcept {
  if (is_small(bytes)) return small_.allocate(small_.context, bytes);
  Lease lease;
  if (!take(bytes, true, lease))
    return is_small(bytes) ? small_.allocate(small_.context, bytes) : nullptr;
  if (options_.zero_on_reuse && lease.dirty) zero(lease, bytes);
  return lease.region.address;
}

void* ArrayMemory::allocate_zeroed(std::size_t count, std::size_t bytes) noexcept {
  if (bytes != 0 && count > std::numeric_limits<std::size_t>::max() / bytes) return nullptr;
  if (is_small(count * bytes)) return small_.allocate_zeroed(small_.context, count, bytes);
  Lease lease;
  if (!take(count * bytes, true, lease))
    return is_small(count * bytes) ? small_.allocate_zeroed(small_.context, count, bytes) : nullptr;
  if (lease.dirty) zero(lease, count * bytes);
  return lease.region.address;
}

void* ArrayMemory::reallocate(void* old, std::size_t bytes) noexcept {
  const auto entry = old == nullptr ? std::nullopt : lent_blocks().find(old);
  if (!entry) {
    void* const still_small = small_.reallocate(small_.context, old, bytes);
    if (still_small == nullptr || is_small(bytes)) return still_small;
    // It has grown to a pool's size. Nobody knows how large it was, but all of it can be read now.
    Lease lease;
    if (!take(bytes, false, lease)) return still_small;
    std::memcpy(lease.region.address, still_small, bytes);
    small_.free(small_.context, still_small, bytes);
    return lease.region.address;
  }
  const std::size_t capacity = entry->lease.region.length;
  if (bytes <= capacity && bytes >= capacity / 2) {
    if (options_.zero_on_reuse && bytes > entry->bytes)
      std::memset(static_cast<char*>(old) + entry->bytes, 0, bytes - entry->bytes);
    lent_blocks().resize(old, bytes);
    return old;
  }
  void* moved = nullptr;
  if (Lease lease; !is_small(bytes) && take(bytes, false, lease)) {
    moved = lease.region.address;
    if (options_.zero_on_reuse && lease.dirty && bytes > entry->bytes)
      std::memset(static_cast<char*>(moved) + entry->bytes, 0, bytes - entry->bytes);
  } else if (is_small(bytes)) {
    moved = small_.allocate(small_.context, bytes);
  }
  if (moved == nullptr) {
    if (bytes > capacity) return nullptr;
    lent_blocks().resize(old, bytes);  // larger than it has to be, but valid
    return old;
  }
  std::memcpy(moved, old, std::min(bytes, entry->bytes));
  free(old, entry->bytes);
  return moved;
}

void ArrayMemory::free_page(void* old, std::size_t bytes) noexcept {
  if (old == nullptr) return;
  if (const auto entry = lent_blocks().take(old)) {
    give_back(entry->lease);
  } else {
    small_.free(small_.context, old, bytes);
  }
}

void ArrayMemory::try_out(const Pool::Degraded& degraded) {
  AcquireRequest request;
  request.size_bytes = kLeastBytes;
  request.nodes = options_.nodes;
  request.strict = options_.strict;
  give_back(pool_.acquire(request, [] {}, degraded));
}

}  // namespace numapool
