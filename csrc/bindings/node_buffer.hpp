// numapool.NodeBuffer: the hand-made Python type that owns a block and counts the views of it.
#pragma once

#include <Python.h>

#include "numapool/buffer.hpp"

namespace numapool::bindings {

// Creates the type and adds it to the module. -1 with a Python error set on failure.
int add_node_buffer_type(PyObject* module) noexcept;

// A new NodeBuffer that owns `block`; nullptr with a Python error set on failure (the block is
// freed).
[[nodiscard]] PyObject* make_node_buffer(Block&& block) noexcept;

// A new NodeBuffer of the first `size_bytes` of what a pool or ring has lent, and gets back from
// it; nullptr with a Python error set on failure (the lease is given back).
[[nodiscard]] PyObject* make_node_buffer(const Lease& lease, std::size_t size_bytes) noexcept;

// For who lends memory to a new NodeBuffer: the lease is filled in where it stays, before anybody
// else sees the buffer. nullptr with a Python error set on failure.
[[nodiscard]] PyObject* unlent_node_buffer(std::size_t size_bytes) noexcept;
[[nodiscard]] Lease& lease_of(PyObject* buffer) noexcept;
// Drops a buffer that was lent nothing. A Python error that is set stays.
void drop_unlent(PyObject* buffer) noexcept;

// For what exports a buffer's memory without the buffer protocol. add_view() counts one view more:
// the memory stays until drop_view(); false with ValueError set where the buffer is closed. The
// caller owns a reference to the buffer meanwhile; the GIL is held.
[[nodiscard]] bool add_view(PyObject* buffer) noexcept;
void drop_view(PyObject* buffer) noexcept;

// Lets an array have the memory of a buffer that nobody else has a view of: only the last reference
// to the buffer frees it from now on. Returns the memory. The GIL is held.
void* give_to_array(PyObject* buffer) noexcept;

// The memory of a buffer of which the caller has a view.
struct Held {
  Region region;
  std::size_t size_bytes = 0;
  std::optional<int> node_id;
};
[[nodiscard]] Held held_memory(PyObject* buffer) noexcept;

// The result of placement(), after which node_id is up to date even if others moved the pages.
// nullptr with a Python error set on failure. The GIL is held.
[[nodiscard]] PyObject* placement_again(PyObject* buffer) noexcept;

// Gives a lease back where there is no NodeBuffer of it. The GIL is held.
void give_back(const Lease& lease) noexcept;

}  // namespace numapool::bindings
