// Checks how much a node can hold, before the slow path asks the system for memory.
#include <algorithm>

#include "numapool/size_text.hpp"
#include "platform/memory.hpp"
#include "platform/process.hpp"
#include "pool/pool_impl.hpp"

namespace numapool {
namespace {

constexpr std::uint32_t kFullFor = 100;  // ms that a full node is not asked again

}  // namespace

// A retained block that a request of the class may have, on any node.
bool PoolImpl::retains(std::size_t size_class) noexcept {
  bool found = false;
  for (std::uint16_t slot = 0; slot < nodes_.size() && !found; ++slot) {
    each_holder(slot, [&](Shard&, Shelf& shelf) {
      for (std::size_t c = size_class; c <= classes_.last_for(size_class); ++c)
        found = found || !shelf.lists[c].empty();
    });
  }
  return found;
}

// A failure to fit is remembered for a moment: the look at a full node costs system calls.
bool PoolImpl::recently_full(std::uint16_t slot, std::size_t bytes) noexcept {
  const std::lock_guard guard(mutex_);
  return still_full(books_[slot].full, bytes);
}

void PoolImpl::remember_full(std::uint16_t slot, std::uint64_t bytes) noexcept {
  const std::lock_guard guard(mutex_);
  books_[slot].full = {bytes, platform::coarse_ms() + kFullFor};
}

bool PoolImpl::recently_full_together(const Want& want, std::uint16_t farthest) noexcept {
  if (!want.members.empty()) return false;
  const std::lock_guard guard(mutex_);
  const NodeBooks& books = books_[farthest];
  return books.together_for == want.slot &&
         still_full(books.full_together, classes_.bytes(want.size_class));
}

void PoolImpl::remember_full_together(const Want& want, std::uint16_t farthest) noexcept {
  const std::lock_guard guard(mutex_);
  books_[farthest].full_together = {classes_.bytes(want.size_class),
                                    platform::coarse_ms() + kFullFor};
  books_[farthest].together_for = want.slot;
}

bool PoolImpl::still_full(const NodeBooks::Full& full, std::uint64_t bytes) noexcept {
  return full.for_bytes != 0 && bytes >= full.for_bytes && platform::coarse_ms() < full.until_ms;
}

// Before other memory is trimmed for it: can the node hold the block, and if not, would trimming
// blocks of other sizes on it help, if that is allowed?
bool PoolImpl::make_room_on(int node, std::uint16_t slot, std::uint64_t bytes, bool may_trim,
                            std::string& reason) {
  if (bytes < kLookBytes || options_.page.kind == PageRequest::Kind::kHugetlb) return true;
  const auto room = platform::node_room(node);
  if (!room) return true;
  const std::uint64_t has = room.value().free_bytes + room.value().clean_file_bytes;
  if (has >= bytes) return true;
  const std::int64_t retained = may_trim ? retained_on(slot) : 0;
  if (has + static_cast<std::uint64_t>(std::max<std::int64_t>(retained, 0)) < bytes) {
    reason = "it can hold " + size_text(has) + " at most";
    return false;
  }
  trim(bytes - has, node);
  return true;
}

}  // namespace numapool
