// Asks numapool.base.arguments for the words of a refusal.
#include "arguments.hpp"

#include <pybind11/pybind11.h>

#include "python_call.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::object call(const char* function, const py::tuple& values) {
  return call_python(py::module_::import("numapool.base.arguments").attr(function), values);
}

// Calls a function with what `arguments` makes.
template <class Arguments>
PyObject* call_in(const char* module, const char* function, const Arguments& arguments) noexcept {
  return sleep_if_ending([&]() -> PyObject* {
    try {
      return call_python(import_module(module).attr(function), arguments()).release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
      return nullptr;
    }
  });
}

}  // namespace

void refuse_argument(PyObject* kind, const char* name, const char* takes,
                     PyObject* value) noexcept {
  PyErr_Clear();
  sleep_if_ending([&] {
    try {
      const py::object words = call("must_be", py::make_tuple(name, takes, py::handle(value)));
      PyErr_SetObject(kind, words.ptr());
    } catch (py::error_already_set& error) {
      error.restore();
    }
  });
}

PyObject* target_by_python(PyObject* buffer, PyObject* value) noexcept {
  return call_in("numapool.memory.migration", "target_of", [&] {
    return py::make_tuple(py::handle(value), py::handle(buffer).attr("placement"));
  });
}

PyObject* nodes_by_python(const char* name, PyObject* value) noexcept {
  return call_in("numapool.machine.node_set", "wanted_of",
                 [&] { return py::make_tuple(name, py::handle(value)); });
}

PyObject* read_by_python(const char* function, const char* name, PyObject* value) noexcept {
  return sleep_if_ending([&]() -> PyObject* {
    try {
      return call(function, py::make_tuple(name, py::handle(value))).release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
      return nullptr;
    }
  });
}

}  // namespace numapool::bindings
