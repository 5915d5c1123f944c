// The texts of a NodeBuffer: its repr, its results as Python objects, its docstrings.
#pragma once

#include <Python.h>

#include <cstddef>
#include <string>

#include "numapool/buffer.hpp"

namespace numapool::bindings {

// New references to numapool.Placement, AllocationStep and MigrationReport objects; nullptr with an
// error set.
[[nodiscard]] PyObject* to_python(const Placement& placement);
[[nodiscard]] PyObject* to_python(AllocationStep step) noexcept;
[[nodiscard]] PyObject* migration_report(int node, const Placement& before, const Placement& after);

// The name of its member in both, and in texts.
[[nodiscard]] const char* step_name(AllocationStep step) noexcept;

// "<NodeBuffer 256 MiB on node 1 (asked: 1, step PREFERRED) at 0x7f0000000000>"
[[nodiscard]] std::string repr_text(std::size_t size_bytes, const BlockPlace& place, bool closed,
                                    const void* address);

namespace doc {
inline constexpr const char* kNodeBuffer =
    "Memory on a NUMA node, as writable bytes through the buffer protocol.\n\n"
    "Made by NumaAllocator; np.frombuffer and memoryview use it without a copy. Close it, use it "
    "in a\n"
    "`with` block, or drop it: the memory is freed once no view of it is left.";
inline constexpr const char* kClose =
    "close($self, /)\n--\n\n"
    "Give the memory back to the system. Doing it twice is allowed.\n\n"
    "Raises\n------\nBufferError\n    A view (array, memoryview) of the buffer is alive; nothing "
    "is changed.";
inline constexpr const char* kPlacement =
    "placement($self, /)\n--\n\n"
    "Where the pages are now, read from the system at each call.\n\n"
    "Returns\n-------\nPlacement\n    Bytes by node; move_pages(2), get_mempolicy(2) or numa_maps "
    "said so.\n\n"
    "Raises\n------\nValueError\n    The buffer is closed.";
inline constexpr const char* kMigrate =
    "migrate($self, node, /)\n--\n\n"
    "Move the pages to `node` as far as they fit; every byte keeps its value and address. Of "
    "several "
    "nodes,\n"
    "to the one that has all of them already, else to the nearest to the calling thread with "
    "room.\n\n"
    "Returns\n-------\nMigrationReport\n    What moved, what stayed and why; node_id, step and "
    "requested_node follow.\n\n"
    "Raises\n------\nNodeNotFoundError\n    The machine has no such node.\n"
    "PlacementError\n    The node has no memory, or this process is not allowed to use it.\n"
    "UnsupportedError\n    The system refuses both move_pages(2) and mbind(2).\n"
    "ValueError\n    The buffer is closed.";
inline constexpr const char* kPin =
    "pin($self, /)\n--\n\n"
    "Keep the pages where they are, for a device that is told their addresses.\n\n"
    "Until the handle is released (it is a context manager), close() and migrate() are refused, a\n"
    "pool does not get the memory back and so cannot trim it, and numapool.migrate leaves it "
    "alone.\n\n"
    "Returns\n-------\nPinnedRange\n    Has `address`, `nbytes`, `placement()` and `release()`.\n\n"
    "Warns\n-----\nPlacementWarning\n    The node has movable memory alone: a device's pin moves "
    "the "
    "pages off it. Once per node.\n\n"
    "Raises\n------\nValueError\n    The buffer is closed.\n"
    "BufferError\n    Its pages are being migrated at this moment.";
inline constexpr const char* kAsArray =
    "as_array($self, /, dtype='uint8', shape=None)\n--\n\n"
    "The memory as a NumPy array, without a copy; the array counts as a view of the buffer.\n\n"
    "Parameters\n----------\ndtype : data-type\n    Any dtype without Python objects.\n"
    "shape : int or iterable of int, optional\n    By default one dimension of as many elements as "
    "fit; with a shape, its elements are the first\n    of the buffer.\n\n"
    "Raises\n------\nValueError\n    The buffer is closed, or too small for the shape.\n"
    "TypeError\n    A dtype that holds Python objects.";
inline constexpr const char* kDlpack =
    "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\n"
    "Export the bytes as a one-dimensional uint8 tensor (Python array API standard, DLPack "
    "1.0).\n\n"
    "The tensor counts as a view until its consumer drops it. `copy=True` makes a copy on the\n"
    "buffer's node.\n\n"
    "Raises\n------\nValueError\n    The buffer is closed.\n"
    "BufferError\n    A stream, or a device other than the CPU, is asked for.";
inline constexpr const char* kDlpackDevice =
    "__dlpack_device__($self, /)\n--\n\nReturn (1, 0): the CPU's memory (kDLCPU).";
inline constexpr const char* kArrayInterface =
    "NumPy's array interface, version 3; its data is a memoryview, which counts as a view.";
inline constexpr const char* kNbytes = "Size in bytes, as asked for.";
inline constexpr const char* kAddress = "Address of the first byte; ValueError once closed.";
inline constexpr const char* kRequestedNode =
    "The node asked for (or the calling thread's); None if interleaved. Of several nodes, the one "
    "that\n"
    "has the most bytes, or the nearest if none of them has any.";
inline constexpr const char* kNodeId =
    "The node that held the most bytes when placed, or that the policy names while nothing is "
    "resident;\n"
    "None if unknown or interleaved, or if the policy names several.";
inline constexpr const char* kStep = "The AllocationStep that the memory was placed by.";
inline constexpr const char* kBound = "Whether the kernel accepted a memory policy for it.";
inline constexpr const char* kLocked = "Whether it was locked into memory (mlock(2)).";
inline constexpr const char* kClosed = "Whether close() was called or a `with` block was left.";
}  // namespace doc

}  // namespace numapool::bindings
