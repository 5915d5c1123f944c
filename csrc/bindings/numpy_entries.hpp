// NumPy's C interface, which numapool is not built against: the entries it uses are stable, and are
// looked up when they are first asked for.
#pragma once

#include <cstddef>

namespace numapool::bindings {

// numpy/__multiarray_api.h. The two of memory handlers are there since 1.22, all others longer.
enum class NumpyEntry : std::size_t {
  kInterfaceVersion = 0,
  kArrayType = 2,
  kDtypeType = 3,
  kDtypeOfNumber = 45,
  kNewFromDtype = 94,
  kDtypeConverter = 174,
  kSetBaseObject = 282,
  kSetHandler = 304,
  kDefaultHandler = 306,
};

struct NumpyEntries {
  void* const* table;

  template <class Function>
  [[nodiscard]] Function function(NumpyEntry entry) const noexcept {
    return reinterpret_cast<Function>(table[static_cast<std::size_t>(entry)]);
  }
  template <class Value>
  [[nodiscard]] Value* variable(NumpyEntry entry) const noexcept {
    return static_cast<Value*>(table[static_cast<std::size_t>(entry)]);
  }
};

// Imports NumPy where that is still to be done. pybind11::error_already_set if that fails. The GIL
// is held.
[[nodiscard]] const NumpyEntries& numpy_entries();

}  // namespace numapool::bindings
