// Memory for arrays, in the terms of malloc(3): large blocks from a pool, small ones from whoever
// served them before. NEP 49 is what it is made for, but nothing here knows of NumPy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "numapool/pool.hpp"

namespace numapool {

// Who serves what is too small for a pool. The pointers may be called wherever the functions of
// ArrayMemory are.
struct SmallMemory {
  void* context = nullptr;
  void* (*allocate)(void* context, std::size_t bytes) = nullptr;
  void* (*allocate_zeroed)(void* context, std::size_t count, std::size_t bytes) = nullptr;
  void* (*reallocate)(void* context, void* old, std::size_t bytes) = nullptr;
  void (*free)(void* context, void* old, std::size_t bytes) = nullptr;
};

struct ArrayMemoryOptions {
  NodeIds nodes;        // none: that of the thread that asks
  bool strict = false;  // on those nodes, or not at all
  bool zero_on_reuse = false;
};

class ArrayMemory {
 public:
  // Runs what may take long (new memory from the system, zeroing much), perhaps without a lock of
  // the caller's.
  using Slowly = std::function<void(const std::function<void()>&)>;

  // Requests below this are small: a block of a pool is whole pages.
  static constexpr std::size_t kLeastBytes = 65536;

  // Pins the pool until it is destroyed; blocks that are out live on without it.
  ArrayMemory(Pool& pool, ArrayMemoryOptions options, const SmallMemory& small,
              Slowly slowly) noexcept;
  ~ArrayMemory();
  ArrayMemory(const ArrayMemory&) = delete;
  ArrayMemory& operator=(const ArrayMemory&) = delete;

  // Thread-safe, all of them; nullptr where there is no memory (max_bytes of the pool, or strict).
  // A closed pool lends no more: then everything is small.
  [[nodiscard]] void* allocate(std::size_t bytes) noexcept {
    return bytes < kLeastBytes ? small_.allocate(small_.context, bytes) : allocate_large(bytes);
  }
  [[nodiscard]] void* allocate_zeroed(std::size_t count, std::size_t bytes) noexcept;
  // Keeps what fits of the contents; the old block stays as it is where there is no memory. Never
  // calls `slowly`: the caller may rely on nobody else's looking at the array meanwhile.
  [[nodiscard]] void* reallocate(void* old, std::size_t bytes) noexcept;
  // A block of a pool begins at a page, and no system's pages are smaller than kLeastPageBytes:
  // most of what is small is told by its address alone.
  void free(void* old, std::size_t bytes) noexcept {
    reinterpret_cast<std::uintptr_t>(old) % kLeastPageBytes != 0
        ? small_.free(small_.context, old, bytes)
        : free_page(old, bytes);
  }

  // Tries what allocate() would do for a large block, and throws the Error that it hides.
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
