// Implements the table of blocks that are out as plain pointers.
#include "pool/blocks_by_address.hpp"

#include <mutex>
#include <new>

#include "platform/memory.hpp"

namespace numapool {
namespace {

// Made as the library is loaded: a variable that is made at its first use has a lock that a fork
// cannot take.
const std::uintptr_t page_bytes = platform::base_page_bytes();
LentBlocks& all_lent_blocks = *new LentBlocks;

std::uintptr_t page_of(const void* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) / page_bytes;
}

// Fibonacci hashing: neighbours in a slab fall into different parts.
std::uint64_t hash(const void* address) noexcept { return page_of(address) * 0x9e3779b97f4a7c15U; }

constexpr std::size_t kFirstSlots = 16;

}  // namespace

// The top bits choose the part, those below the slot.
std::size_t LentBlocks::Part::home(const void* address) const noexcept {
  return (hash(address) >> 20U) & (slots.size() - 1);
}

LentBlocks::Entry* LentBlocks::Part::find(const void* address) noexcept {
  if (slots.empty()) return nullptr;
  for (std::size_t at = home(address);; at = (at + 1) & (slots.size() - 1)) {
    if (slots[at].lease.region.address == address) return &slots[at];
    if (slots[at].lease.region.address == nullptr) return nullptr;
  }
}

void LentBlocks::Part::put(const Entry& entry) noexcept {
  std::size_t at = home(entry.lease.region.address);
  while (slots[at].lease.region.address != nullptr) at = (at + 1) & (slots.size() - 1);
  slots[at] = entry;
  ++count;
}

void LentBlocks::Part::grow() {
  std::vector<Entry> larger(slots.empty() ? kFirstSlots : slots.size() * 2);
  larger.swap(slots);
  count = 0;
  for (const Entry& entry : larger) {
    if (entry.lease.region.address != nullptr) put(entry);
  }
}

// Moves up the entries that follow in the same run, unless they are in their home slot: no search
// may end early.
void LentBlocks::Part::erase(Entry* entry) noexcept {
  const std::size_t mask = slots.size() - 1;
  auto hole = static_cast<std::size_t>(entry - slots.data());
  for (std::size_t at = (hole + 1) & mask; slots[at].lease.region.address != nullptr;
       at = (at + 1) & mask) {
    const std::size_t wanted = home(slots[at].lease.region.address);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    slots[hole] = slots[at];
    hole = at;
  }
  slots[hole] = Entry{};
  --count;
}

bool LentBlocks::may_be_block(const void* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % page_bytes == 0;
}

LentBlocks::Part& LentBlocks::part_of(const void* address) noexcept {
  return parts_[hash(address) >> 58U];
}

bool LentBlocks::add(const Lease& lease, std::size_t bytes) noexcept {
  Part& part = part_of(lease.region.address);
  const std::lock_guard guard(part.lock);
  try {
    if (part.count * 2 >= part.slots.size()) part.grow();
  } catch (const std::bad_alloc&) {
    return false;
  }
  part.put({lease, bytes});
  return true;
}

std::optional<LentBlocks::Entry> LentBlocks::take(const void* address) noexcept {
  if (!may_be_block(address)) return std::nullopt;
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  Entry* const found = part.find(address);
  if (found == nullptr) return std::nullopt;
  const Entry entry = *found;
  part.erase(found);
  return entry;
}

std::optional<LentBlocks::Entry> LentBlocks::find(const void* address) noexcept {
  if (!may_be_block(address)) return std::nullopt;
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  const Entry* const found = part.find(address);
  return found == nullptr ? std::nullopt : std::optional<Entry>(*found);
}

void LentBlocks::resize(const void* address, std::size_t bytes) noexcept {
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  if (Entry* const found = part.find(address)) found->bytes = bytes;
}

LentBlocks& lent_blocks() { return all_lent_blocks; }

}  // namespace numapool
