// The mapping under a block: mapped once, unmapped once.
#include "numapool/buffer.hpp"

#include <utility>

#include "memory/nothrow_calls.hpp"
#include "memory/range_placement.hpp"
#include "numapool/error.hpp"

namespace numapool {

Mapping::Mapping(std::size_t length, const platform::Pages& pages)
    : length_(length), pages_(pages) {
  const platform::Result<void*> mapped = platform::map(length, pages);
  if (!mapped) {
    const platform::Failure& why = mapped.failure();
    throw Error(why.cause == platform::Cause::kNoMemory ? ErrorKind::kNoMemory : ErrorKind::kSystem,
                "cannot map " + size_text(length) + ": " + describe(why) +
                    " (address space, vm.overcommit_memory and vm.max_map_count limit mappings)",
                why.code);
  }
  address_ = mapped.value();
}

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)),
      length_(std::exchange(other.length_, 0)),
      pages_(other.pages_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(length_, other.length_);
  std::swap(pages_, other.pages_);
  return *this;
}

void Mapping::reset() noexcept {
  if (address_ == nullptr) return;
  // At vm.max_map_count, munmap can fail, as it may have to split a mapping that the kernel merged
  // with its neighbour. The pages can still be freed; only the address space stays reserved.
  if (!succeeds([&] { return platform::unmap(address_, length_); }) &&
      !succeeds([&] { return platform::discard(address_, length_); })) {
    // Nothing else can be done.
  }
  address_ = nullptr;
  length_ = 0;
}

void lock_block(Block& block, bool resident) {
  const Mapping& mapping = block.mapping;
  const platform::Status locked = platform::lock(mapping.address(), mapping.length(), resident);
  if (!locked && locked.failure().cause == platform::Cause::kUnsupported) {
    throw Error(ErrorKind::kUnsupported,
                "cannot lock memory: " + describe(locked.failure()) + "; nothing was allocated",
                locked.failure().code);
  }
  if (!locked) {
    throw Error(
        ErrorKind::kSystem,
        "cannot lock " + size_text(mapping.length()) +
            " into memory: " + describe(locked.failure()) +
            "; raise the locked-memory limit (ulimit -l, RLIMIT_MEMLOCK) or grant CAP_IPC_LOCK; "
            "nothing was allocated",
        locked.failure().code);
  }
  block.locked = true;
}

}  // namespace numapool
