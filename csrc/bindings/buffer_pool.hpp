// numapool._core.PoolBase: the hand-made base of BufferPool, with the fast acquire().
#pragma once

#include <Python.h>

#include <vector>

#include "numapool/pool.hpp"

namespace numapool::bindings {

// Creates the type and adds it to the module. -1 with a Python error set on failure.
int add_pool_type(PyObject* module) noexcept;

// Gives a PoolBase object its pool, once. Throws Error(kInvalidArgument) for anything else.
void set_pool(PyObject* object, Pool* pool, bool zero_on_reuse);

// The pool of a PoolBase object, alive as long as the object. Throws Error(kClosed) before
// set_pool().
[[nodiscard]] Pool& pool_of(PyObject* object);

// Issues numapool.PlacementWarning for what `degradations` say, once per cause. Throws
// pybind11::error_already_set where warnings are errors.
void warn_of(const std::vector<Degradation>& degradations);

}  // namespace numapool::bindings
