// NodeBuffer's part in DLPack: how tensors of other libraries get its bytes without a copy.
#pragma once

#include <Python.h>

namespace numapool::bindings {

// NodeBuffer.__dlpack__ (METH_FASTCALL | METH_KEYWORDS) and __dlpack_device__ (METH_NOARGS).
PyObject* dlpack(PyObject* buffer, PyObject* const* arguments, Py_ssize_t count,
                 PyObject* names) noexcept;
PyObject* dlpack_device(PyObject* buffer, PyObject*) noexcept;

}  // namespace numapool::bindings
