// numapool._core.QuickArray: a function of Python's that makes arrays, with a shorter way.
#pragma once

#include <Python.h>

namespace numapool::bindings {

// Creates the type and adds it to the module. -1 with a Python error set on failure.
int add_quick_array_type(PyObject* module) noexcept;

}  // namespace numapool::bindings
