// numapool._core.PoolBase: the hand-made base of BufferPool, with the fast acquire().
#pragma once

#include <Python.h>

#include <cstddef>
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

// As acquire(size_bytes, node) of a PoolBase object, with every byte zero if `zeroed`. A new
// NodeBuffer, or nullptr with a Python error set. The GIL is held.
[[nodiscard]] PyObject* lend_block(PyObject* pool, std::size_t size_bytes, PyObject* node,
                                   bool zeroed) noexcept;

// A new NodeBuffer of what a pool has lent, cleared first if `zeroed` and somebody has written to
// it. nullptr with a Python error set on failure (the lease is given back). The GIL is held.
[[nodiscard]] PyObject* buffer_of_lease(const Lease& lease, std::size_t size_bytes,
                                        bool zeroed) noexcept;

// Whether the pool of a PoolBase object clears all that it lends.
[[nodiscard]] bool zeroes_on_reuse(PyObject* object) noexcept;

// Issues numapool.PlacementWarning for what `degradations` say, once per cause. Throws
// pybind11::error_already_set where warnings are errors.
void warn_of(const std::vector<Degradation>& degradations);

}  // namespace numapool::bindings
