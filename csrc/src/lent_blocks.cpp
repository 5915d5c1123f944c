// Implements the table of blocks that are out as plain pointers.
#include "lent_blocks.hpp"

#include <mutex>
#include <new>

#include "platform/memory.hpp"
#include "platform/process.hpp"

namespace numapool {
namespace {

std::uintptr_t page_of(const void* address) noexcept {
  static const std::uintptr_t page = platform::base_page_bytes();
  return reinterpret_cast<std::uintptr_t>(address) / page;
}

}  // namespace

bool LentBlocks::may_be_block(const void* address) noexcept {
  static const std::uintptr_t page = platform::base_page_bytes();
  return reinterpret_cast<std::uintptr_t>(address) % page == 0;
}

// Fibonacci hashing: neighbours in a slab fall into different parts.
LentBlocks::Part& LentBlocks::part_of(const void* address) noexcept {
  return parts_[(page_of(address) * 0x9e3779b97f4a7c15U) >> 58U];
}

bool LentBlocks::add(const Lease& lease, std::size_t bytes) noexcept {
  Part& part = part_of(lease.region.address);
  const std::lock_guard guard(part.lock);
  try {
    part.entries.insert_or_assign(lease.region.address, Entry{lease, bytes});
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::optional<LentBlocks::Entry> LentBlocks::take(const void* address) noexcept {
  if (!may_be_block(address)) return std::nullopt;
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  const auto found = part.entries.find(address);
  if (found == part.entries.end()) return std::nullopt;
  const Entry entry = found->second;
  part.entries.erase(found);
  return entry;
}

std::optional<LentBlocks::Entry> LentBlocks::find(const void* address) noexcept {
  if (!may_be_block(address)) return std::nullopt;
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  const auto found = part.entries.find(address);
  if (found == part.entries.end()) return std::nullopt;
  return found->second;
}

void LentBlocks::resize(const void* address, std::size_t bytes) noexcept {
  Part& part = part_of(address);
  const std::lock_guard guard(part.lock);
  const auto found = part.entries.find(address);
  if (found != part.entries.end()) found->second.bytes = bytes;
}

void LentBlocks::before_fork() noexcept {
  for (Part& part : parts_) part.lock.lock();
}

void LentBlocks::after_fork() noexcept {
  for (Part& part : parts_) part.lock.unlock();
}

LentBlocks& lent_blocks() {
  static LentBlocks* const instance = [] {
    auto* const made = new LentBlocks;
    static_cast<void>(platform::on_fork([] { lent_blocks().before_fork(); },
                                        [] { lent_blocks().after_fork(); },
                                        [] { lent_blocks().after_fork(); }));
    return made;
  }();
  return *instance;
}

}  // namespace numapool
