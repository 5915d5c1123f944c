// Reads plain shapes and dtypes, and makes arrays by NumPy's C interface.
#include "plain_array.hpp"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>

#include "ending.hpp"
#include "made_once.hpp"
#include "numpy_entries.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// numpy/ndarraytypes.h.
constexpr int kColumnsFirst = 0x0002;
constexpr int kAlignedAndWriteable = 0x0100 | 0x0400;
constexpr std::uint64_t kHoldsObjects = 0x01;
constexpr int kUint8 = 2;

// The two layouts of a dtype, as NumPy's headers tell them apart at run time.
struct DtypeBefore2 {
  PyObject_HEAD PyTypeObject* type;
  char kind, letter, byte_order, flags;
  int number;
  int element_bytes;
};
struct Dtype {
  PyObject_HEAD PyTypeObject* type;
  char kind, letter, byte_order, former_flags;
  int number;
  std::uint64_t flags;
  Py_ssize_t element_bytes;
};

struct ArrayCalls {
  unsigned version;  // of the layouts; 0 is none that is known here
  PyTypeObject* array_type;
  PyTypeObject* dtype_type;
  PyObject* (*dtype_of_number)(int number);
  int (*to_dtype)(PyObject* value, PyObject** dtype);
  PyObject* (*make)(PyTypeObject* type, PyObject* dtype, int dimensions, const Py_ssize_t* shape,
                    const Py_ssize_t* strides, void* memory, int flags, PyObject* like);
  int (*set_base)(PyObject* array, PyObject* base);
};

ArrayCalls find_calls() {
  const NumpyEntries& entries = numpy_entries();
  ArrayCalls found{};
  const unsigned version = entries.function<unsigned (*)()>(NumpyEntry::kInterfaceVersion)() >> 24;
  if (version == 1 || version == 2) found.version = version;
  found.array_type = entries.variable<PyTypeObject>(NumpyEntry::kArrayType);
  found.dtype_type = entries.variable<PyTypeObject>(NumpyEntry::kDtypeType);
  found.dtype_of_number =
      entries.function<decltype(found.dtype_of_number)>(NumpyEntry::kDtypeOfNumber);
  found.to_dtype = entries.function<decltype(found.to_dtype)>(NumpyEntry::kDtypeConverter);
  found.make = entries.function<decltype(found.make)>(NumpyEntry::kNewFromDtype);
  found.set_base = entries.function<decltype(found.set_base)>(NumpyEntry::kSetBaseObject);
  return found;
}

// nullptr, without an error set, if NumPy cannot be imported or its layouts are not known.
const ArrayCalls* calls() noexcept {
  constinit static MadeOnce<ArrayCalls> found;  // importing NumPy lets other threads run
  try {
    const ArrayCalls* const known =
        found.get([] { return std::make_unique<ArrayCalls>(find_calls()); });
    return known->version == 0 ? nullptr : known;
  } catch (...) {  // the caller's other way runs into the same, and tells
    PyErr_Clear();
    return nullptr;
  }
}

}  // namespace

bool PlainArray::read_dtype(PyObject* dtype) noexcept {
  const ArrayCalls* const numpy = calls();
  if (numpy == nullptr) return false;
  if (PyObject_TypeCheck(dtype, numpy->dtype_type) != 0) {
    Py_INCREF(dtype);
    dtype_.reset(dtype);
  } else if (PyType_Check(dtype) != 0 || PyUnicode_CheckExact(dtype) != 0) {
    PyObject* found = nullptr;
    if (sleep_if_ending([&] { return numpy->to_dtype(dtype, &found); }) == 0) {
      PyErr_Clear();
      return false;
    }
    dtype_.reset(found);
  } else {
    return false;
  }
  std::uint64_t flags = 0;
  Py_ssize_t element_bytes = 0;
  if (numpy->version == 1) {
    const auto* const read = reinterpret_cast<const DtypeBefore2*>(dtype_.get());
    flags = static_cast<unsigned char>(read->flags);
    element_bytes = read->element_bytes;
  } else {
    const auto* const read = reinterpret_cast<const Dtype*>(dtype_.get());
    flags = read->flags;
    element_bytes = read->element_bytes;
  }
  element_bytes_ = static_cast<std::size_t>(element_bytes);
  return (flags & kHoldsObjects) == 0 && element_bytes > 0;
}

bool PlainArray::read_bytes() noexcept {
  const ArrayCalls* const numpy = calls();
  if (numpy == nullptr) return false;
  dtype_.reset(numpy->dtype_of_number(kUint8));
  element_bytes_ = 1;
  return true;
}

bool PlainArray::add_dimension(PyObject* length) noexcept {
  if (PyLong_CheckExact(length) == 0) return false;
  const Py_ssize_t value = PyLong_AsSsize_t(length);
  if (value <= 0) {  // -1 also if it is too large
    PyErr_Clear();
    return false;
  }
  const auto unsigned_value = static_cast<std::size_t>(value);
  if (size_bytes_ >= PY_SSIZE_T_MAX / unsigned_value) return false;
  size_bytes_ *= unsigned_value;
  shape_[static_cast<std::size_t>(dimensions_++)] = value;
  return true;
}

bool PlainArray::read_shape(PyObject* shape) noexcept {
  size_bytes_ = element_bytes_;
  if (PyTuple_CheckExact(shape) == 0) return add_dimension(shape);
  const Py_ssize_t count = PyTuple_GET_SIZE(shape);
  if (count > kMostDimensions) return false;
  for (Py_ssize_t i = 0; i < count; ++i)
    if (!add_dimension(PyTuple_GET_ITEM(shape, i))) return false;
  return true;
}

bool PlainArray::fill(std::size_t size_bytes) noexcept {
  const std::size_t count = size_bytes / element_bytes_;
  size_bytes_ = count * element_bytes_;
  shape_[0] = static_cast<Py_ssize_t>(count);
  dimensions_ = 1;
  return count > 0;
}

bool PlainArray::read_order(PyObject* order) noexcept {
  if (PyUnicode_CheckExact(order) == 0 || PyUnicode_GET_LENGTH(order) != 1) return false;
  const Py_UCS4 letter = PyUnicode_READ_CHAR(order, 0);
  columns_first_ = letter == 'F';
  return columns_first_ || letter == 'C';
}

PyObject* PlainArray::make(void* memory, PyObject* owner) noexcept {
  const ArrayCalls& numpy = *calls();
  const int flags = kAlignedAndWriteable | (columns_first_ ? kColumnsFirst : 0);
  PyObject* const array = numpy.make(numpy.array_type, dtype_.release(), dimensions_, shape_.data(),
                                     nullptr, memory, flags, nullptr);
  if (array == nullptr) {
    Py_DECREF(owner);
    return nullptr;
  }
  if (numpy.set_base(array, owner) == 0) return array;
  Py_DECREF(array);
  return nullptr;
}

}  // namespace numapool::bindings
