// Registers the extension module.
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "node_buffer.hpp"
#include "quick_array.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core_of_main, module, py::mod_gil_not_used()) {
  module.doc() = "The compiled core of numapool.";
  module.attr("__version__") = NUMAPOOL_VERSION;
  module.attr("__source_digest__") = numapool::bindings::kSourceDigest;
  numapool::bindings::register_errors();
  numapool::bindings::bind_topology(module);
  if (numapool::bindings::add_node_buffer_type(module.ptr()) != 0) throw py::error_already_set();
  numapool::bindings::bind_allocator(module);
  numapool::bindings::bind_affinity(module);
  numapool::bindings::bind_policy(module);
  numapool::bindings::bind_text(module);
  numapool::bindings::bind_process(module);
  numapool::bindings::bind_probe(module);
  if (numapool::bindings::add_pool_type(module.ptr()) != 0) throw py::error_already_set();
  if (numapool::bindings::add_quick_array_type(module.ptr()) != 0) throw py::error_already_set();
  numapool::bindings::bind_pool(module);
  numapool::bindings::bind_line(module);
  numapool::bindings::bind_reservation(module);
  numapool::bindings::bind_ring(module);
  numapool::bindings::bind_host(module);
  numapool::bindings::bind_pressure(module);
  numapool::bindings::bind_device(module);
  numapool::bindings::bind_storage(module);
  numapool::bindings::bind_read_many(module);
  numapool::bindings::bind_numpy(module);
  numapool::bindings::bind_pin(module);
  numapool::bindings::bind_exchange(module);
  numapool::bindings::bind_bench(module);
}

// The types and the handlers of forks belong to one interpreter.
bool numapool::bindings::in_main_interpreter() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return true;
  PyErr_SetString(PyExc_ImportError,
                  "numapool works in the main interpreter only, not in a sub-interpreter");
  return false;
}

// Looked at before pybind11, which on Python 3.11 would wait for ever for the GIL that a
// sub-interpreter's thread holds.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  return numapool::bindings::in_main_interpreter() ? PyInit__core_of_main() : nullptr;
}
