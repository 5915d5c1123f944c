// Replaces the program's `new` by one that can be told to fail.
#include "failing_new.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local int left = 0;  // 0: none is to fail
thread_local bool has_failed = false;

void* allocate(std::size_t size, std::size_t alignment) {
  if (left != 0 && --left == 0) {
    has_failed = true;
    throw std::bad_alloc();
  }
  const std::size_t whole = (size + alignment) / alignment * alignment;  // never 0
  void* const memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
// Sanitizers have forms of their own for arrays and without exceptions, which do not come here by
// themselves.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  try {
    return operator new(size, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t size, const std::nothrow_t& no) noexcept {
  return operator new(size, no);
}
void* operator new[](std::size_t size, std::align_val_t alignment,
                     const std::nothrow_t& no) noexcept {
  return operator new(size, alignment, no);
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace numapool {

FailingNew::FailingNew(int k) noexcept {
  has_failed = false;
  left = k;
}
FailingNew::~FailingNew() { left = 0; }
bool FailingNew::failed() const noexcept { return has_failed; }

}  // namespace numapool
