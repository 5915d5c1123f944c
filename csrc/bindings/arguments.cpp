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

PyObject* node_by_python(const char* name, PyObject* value) noexcept {
  return sleep_if_ending([&]() -> PyObject* {
    try {
      const py::object find = import_module("numapool.machine.node_set").attr("node_of");
      return call_python(find, py::make_tuple(name, py::handle(value))).release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
      return nullptr;
    }
  });
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
