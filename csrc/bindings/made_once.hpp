// A value of Python's that is made when it is first asked for, and kept until the process ends.
#pragma once

#include <atomic>
#include <memory>

namespace numapool::bindings {

// Replaces `static const T value = make();` wherever make() may run Python code. The compiler
// guards such a variable with a lock, and Python code may release the GIL. Another thread would
// then wait for the lock while holding the GIL, and the first one for the GIL while holding the
// lock. Here no thread waits: several may make the value, and one result is kept.
template <class T>
class MadeOnce {
 public:
  // `make` returns a std::unique_ptr<T, D>; an exception passes through, nullptr is tried again.
  // The GIL is held.
  template <class Make>
  T* get(const Make& make) {
    if (T* const known = value_.load(std::memory_order_acquire)) return known;
    auto made = make();
    T* kept = nullptr;
    if (value_.compare_exchange_strong(kept, made.get(), std::memory_order_acq_rel))
      return made.release();
    return kept;
  }

 private:
  std::atomic<T*> value_{nullptr};
};

}  // namespace numapool::bindings
