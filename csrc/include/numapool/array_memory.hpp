// Memory for arrays with the semantics of malloc(3): large blocks come from a pool, small ones from
// the previous allocator. It is made for NEP 49, but nothing here depends on NumPy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "numapool/pool.hpp"

namespace numapool {

// The allocator for sizes that are too small for a pool. Its functions may be called wherever those
// of ArrayMemory may.
struct SmallMemory {
  void* context = nullptr;
  void* (*allocate)(void* context, std::size_t bytes) = nullptr;
  void* (*allocate_zeroed)(void* context, std::size_t count, std::size_t bytes) = nullptr;
  void* (*reallocate)(void* context, void* old, std::size_t bytes) = nullptr;
  void (*free)(void* context, void* old, std::size_t bytes) = nullptr;
};

struct ArrayMemoryOptions {
  NodeIds nodes;        // empty: the node of the calling thread
  bool strict = false;  // fail if these nodes have no memory left
  bool zero_on_reuse = false;
};

class ArrayMemory {
 public:
  // Runs slow work (new memory from the system, zeroing a large block), possibly after releasing a
  // lock of the caller's.
  using Slowly = std::function<void(const std::function<void()>&)>;

  // Smaller requests go to the previous allocator: a pool's blocks are whole pages.
  static constexpr std::size_t kLeastBytes = 65536;

  // Keeps the pool pinned until it is destroyed. Blocks that are still lent stay valid after that.
  ArrayMemory(Pool& pool, ArrayMemoryOptions options, const SmallMemory& small,
              Slowly slowly) noexcept;
  ~ArrayMemory();
  ArrayMemory(const ArrayMemory&) = delete;
  ArrayMemory& operator=(const ArrayMemory&) = delete;

  // All thread-safe. They return nullptr if there is no memory (the pool's max_bytes, or strict).
  // After the pool was closed, every request counts as small.
  [[nodiscard]] void* allocate(std::size_t bytes) noexcept {
    return bytes < kLeastBytes ? small_.allocate(small_.context, bytes) : allocate_large(bytes);
  }
  [[nodiscard]] void* allocate_zeroed(std::size_t count, std::size_t bytes) noexcept;
  // Keeps as much of the contents as fits. If there is no memory, the old block stays unchanged.
  // Never calls `slowly`: the caller may rely on no other thread looking at the array meanwhile.
  [[nodiscard]] void* reallocate(void* old, std::size_t bytes) noexcept;
  // A pool's block begins at a page boundary, and no system has pages smaller than kLeastPageBytes.
  // So for most small blocks the address alone is enough to tell.
  void free(void* old, std::size_t bytes) noexcept {
    reinterpret_cast<std::uintptr_t>(old) % kLeastPageBytes != 0
        ? small_.free(small_.context, old, bytes)
        : free_page(old, bytes);
  }

  // Does what allocate() would do for a large block, but throws the Error that allocate() hides.
  void try_out(const Pool::Degraded& degraded);

 private:
  static constexpr std::uintptr_t kLeastPageBytes = 4096;

  [[nodiscard]] void* allocate_large(std::size_t bytes) noexcept;
  void free_page(void* old, std::size_t bytes) noexcept;
  [[nodiscard]] bool take(std::size_t bytes, bool may_let_go, Lease& lease) noexcept;
  void zero(const Lease& lease, std::size_t bytes) const noexcept;
  [[nodiscard]] bool is_small(std::size_t bytes) const noexcept;

  Pool& pool_;
  const ArrayMemoryOptions options_;
  const SmallMemory small_;
  const Slowly slowly_;
};

}  // namespace numapool
