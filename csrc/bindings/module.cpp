// Registers the extension module.
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "node_buffer.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "The compiled core of numapool.";
  module.attr("__version__") = NUMAPOOL_VERSION;
  numapool::bindings::register_errors();
  numapool::bindings::bind_topology(module);
  if (numapool::bindings::add_node_buffer_type(module.ptr()) != 0) throw py::error_already_set();
  numapool::bindings::bind_allocator(module);
  numapool::bindings::bind_policy(module);
  numapool::bindings::bind_probe(module);
  if (numapool::bindings::add_pool_type(module.ptr()) != 0) throw py::error_already_set();
  numapool::bindings::bind_pool(module);
  numapool::bindings::bind_ring(module);
  numapool::bindings::bind_host(module);
  numapool::bindings::bind_pressure(module);
  numapool::bindings::bind_device(module);
  numapool::bindings::bind_numpy(module);
  numapool::bindings::bind_hold(module);
  numapool::bindings::bind_exchange(module);
}
