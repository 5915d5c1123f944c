// Keeps pages from being moved while other code relies on their place.
#pragma once

#include <Python.h>

#include <cstdint>
#include <vector>

#include "numapool/buffer.hpp"

namespace numapool::bindings {

// A range of pages that is pinned, or being moved, while this object lives. Thread-safe; needs no
// GIL.
class Claim {
 public:
  enum class Kind { kPin, kMove };
  // Throws Error(kBusy): a move of pages that are pinned, a pin of pages that are being moved.
  Claim(Kind kind, const Region& region);
  Claim(Kind kind, const std::vector<platform::Span>& spans);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  std::uint64_t id_;
};

// NodeBuffer.pin(), and hold(), its name for one more release; METH_NOARGS.
PyObject* pin_buffer(PyObject* buffer, PyObject*) noexcept;
PyObject* hold_buffer(PyObject* buffer, PyObject*) noexcept;

}  // namespace numapool::bindings
