// Looks NumPy's C interface up.
#include "numpy_entries.hpp"

#include <pybind11/pybind11.h>

#include <memory>

#include "made_once.hpp"
#include "python_call.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

NumpyEntries find_entries() {
  py::module_ core;
  try {
    core = import_module("numpy._core._multiarray_umath");
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ModuleNotFoundError)) throw;
    core = import_module("numpy.core._multiarray_umath");  // before NumPy 2
  }
  const py::object table = core.attr("_ARRAY_API");
  auto* const* const entries =
      static_cast<void* const*>(PyCapsule_GetPointer(table.ptr(), nullptr));
  if (entries == nullptr) throw py::error_already_set();
  return {entries};
}

}  // namespace

const NumpyEntries& numpy_entries() {
  constinit static MadeOnce<NumpyEntries> found;  // importing NumPy lets other threads run
  return *found.get([] { return std::make_unique<NumpyEntries>(find_entries()); });
}

}  // namespace numapool::bindings
