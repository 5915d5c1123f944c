// Who counts on pages staying where they are, and who is moving some: never both at once.
#pragma once

#include <Python.h>

#include <cstdint>
#include <vector>

#include "numapool/buffer.hpp"

namespace numapool::bindings {

// A range of pages that is held, or being moved, while this object lives. Thread-safe; needs no
// GIL.
class Claim {
 public:
  enum class Kind { kHold, kMove };
  // Throws Error(kBusy): a move of pages that are held, a hold of pages that are being moved.
  Claim(Kind kind, const Region& region);
  Claim(Kind kind, const std::vector<platform::Span>& spans);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  std::uint64_t id_;
};

// NodeBuffer.hold(), METH_NOARGS.
PyObject* hold_buffer(PyObject* buffer, PyObject*) noexcept;

}  // namespace numapool::bindings
