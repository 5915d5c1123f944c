// The functions by which module.cpp registers everything, one per idea.
#pragma once

#include <pybind11/pybind11.h>

namespace numapool::bindings {

// The SHA-256 of the sources that the module was built from (csrc/source_digest.cmake).
extern const char* const kSourceDigest;

// Whether the calling thread is in the main interpreter; else false, with an ImportError set.
[[nodiscard]] bool in_main_interpreter();

void register_errors();
void bind_topology(pybind11::module_& module);
void bind_allocator(pybind11::module_& module);
void bind_affinity(pybind11::module_& module);
void bind_policy(pybind11::module_& module);
void bind_text(pybind11::module_& module);
void bind_process(pybind11::module_& module);
void bind_pool(pybind11::module_& module);
void bind_probe(pybind11::module_& module);
void bind_line(pybind11::module_& module);
void bind_reservation(pybind11::module_& module);
void bind_ring(pybind11::module_& module);
void bind_host(pybind11::module_& module);
void bind_pressure(pybind11::module_& module);
void bind_device(pybind11::module_& module);
void bind_storage(pybind11::module_& module);
void bind_read_many(pybind11::module_& module);
void bind_numpy(pybind11::module_& module);
void bind_pin(pybind11::module_& module);
void bind_exchange(pybind11::module_& module);
void bind_bench(pybind11::module_& module);

}  // namespace numapool::bindings
