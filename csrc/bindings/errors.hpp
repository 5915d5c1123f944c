// Turns the core's exception into the Python exception of its kind.
#pragma once

#include <Python.h>

#include "numapool/error.hpp"

namespace numapool::bindings {

// Sets the Python error indicator. The GIL is held. For kInterrupted the indicator is set already.
void set_python_error(const Error& error) noexcept;

// Runs `body` and returns its result; a C++ exception becomes a Python one and `failed` is
// returned. For the slots of hand-made types, which pybind11 does not guard.
template <class Body, class T>
T guarded(const T& failed, const Body& body) noexcept;

}  // namespace numapool::bindings

#include <new>

#include "without_gil.hpp"

template <class Body, class T>
T numapool::bindings::guarded(const T& failed, const Body& body) noexcept {
  try {
    return sleep_if_ending(body);
  } catch (const Error& error) {
    set_python_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return failed;
}
