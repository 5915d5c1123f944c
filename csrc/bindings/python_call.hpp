// Calls Python from C++, so that a thread which ends in the call lets nothing go without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include "without_gil.hpp"

namespace numapool::bindings {

// A daemon thread of an ending interpreter ends in the code that it runs (see ending.hpp).
// It is stopped right here, before the unwinding reaches objects of the callers': those would be
// given back without the GIL, while the main thread is taking the interpreter down.
// `named` is a dict, or nothing. pybind11::error_already_set if the call raised.
inline pybind11::object call_python(pybind11::handle callable, const pybind11::tuple& values,
                                    pybind11::handle named = {}) {
  PyObject* const done =
      sleep_if_ending([&] { return PyObject_Call(callable.ptr(), values.ptr(), named.ptr()); });
  if (done == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(done);
}

// An import runs Python code. pybind11::error_already_set if it raised.
inline pybind11::module_ import_module(const char* name) {
  PyObject* const found = sleep_if_ending([name] { return PyImport_ImportModule(name); });
  if (found == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::module_>(found);
}

// Sets the Python error indicator; an exception that is being handled becomes the new one's
// context, which makes the object of `kind` first, by code that may be Python's.
inline void set_exception(pybind11::handle kind, pybind11::handle value) noexcept {
  sleep_if_ending([&] { PyErr_SetObject(kind.ptr(), value.ptr()); });
}

}  // namespace numapool::bindings
