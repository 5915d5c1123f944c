// Arrays of NumPy over given memory, for the shapes and dtypes that can be read without running
// Python code. Everything else, and whatever is to be refused, is numapool.arrays.creation's.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>

namespace numapool::bindings {

// A reference that is dropped with it; the GIL is held then.
class Owned {
 public:
  explicit Owned(PyObject* object = nullptr) noexcept : object_(object) {}
  ~Owned() { Py_XDECREF(object_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  [[nodiscard]] PyObject* release() noexcept {
    PyObject* const object = object_;
    object_ = nullptr;
    return object;
  }
  void reset(PyObject* object) noexcept {
    PyObject* const former = object_;
    object_ = object;
    Py_XDECREF(former);
  }

 private:
  PyObject* object_;
};

class PlainArray {
 public:
  // Reads a dtype: one of NumPy's objects, a type or a str, of elements that have a size and hold
  // no Python objects. False for any other, without an error set.
  [[nodiscard]] bool read_dtype(PyObject* dtype) noexcept;

  // The dtype of single bytes. False, without an error set, if NumPy cannot be asked.
  [[nodiscard]] bool read_bytes() noexcept;

  // Reads a shape: an int, or a tuple of them, each more than 0. False for any other, and for a
  // size that no memory has, without an error set. After read_dtype().
  [[nodiscard]] bool read_shape(PyObject* shape) noexcept;

  // A shape of one dimension, with as many elements as fit; false if that is none.
  [[nodiscard]] bool fill(std::size_t size_bytes) noexcept;

  // "C" or "F". False for any other value, without an error set.
  [[nodiscard]] bool read_order(PyObject* order) noexcept;

  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

  // A new array of that memory, whose base is `owner`: a reference that it takes over, also if it
  // fails. nullptr with an error set on failure.
  [[nodiscard]] PyObject* make(void* memory, PyObject* owner) noexcept;

 private:
  // What NumPy before 2 takes at most.
  static constexpr int kMostDimensions = 32;

  [[nodiscard]] bool add_dimension(PyObject* length) noexcept;

  Owned dtype_;
  std::size_t element_bytes_ = 0;
  std::size_t size_bytes_ = 0;
  bool columns_first_ = false;
  int dimensions_ = 0;
  std::array<Py_ssize_t, kMostDimensions> shape_;  // NOLINT: the first `dimensions_` are set
};

}  // namespace numapool::bindings
