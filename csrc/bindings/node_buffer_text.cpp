// The texts of a NodeBuffer: its repr, and its results as Python objects.
#include "node_buffer_text.hpp"

#include <pybind11/pybind11.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>

#include "numapool/size_text.hpp"
#include "python_call.hpp"

namespace py = pybind11;

namespace numapool::bindings {

const char* step_name(AllocationStep step) noexcept {
  switch (step) {
    case AllocationStep::kPreferred:
      return "PREFERRED";
    case AllocationStep::kNearest:
      return "NEAREST";
    case AllocationStep::kAny:
      return "ANY";
    case AllocationStep::kUnbound:
      return "UNBOUND";
  }
  return "?";
}

PyObject* to_python(const Placement& placement) {
  try {
    py::dict bytes_by_node;
    for (const auto& [node, bytes] : placement.bytes_by_node) bytes_by_node[py::int_(node)] = bytes;
    const py::object cls = import_module("numapool.memory.placement").attr("Placement");
    const py::dict values(py::arg("bytes_by_node") = bytes_by_node,
                          py::arg("not_resident_bytes") = placement.not_resident_bytes,
                          py::arg("unknown_bytes") = placement.unknown_bytes,
                          py::arg("page_size_bytes") = placement.page_size_bytes,
                          py::arg("method") = placement.method);
    return call_python(cls, py::tuple(), values).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  }
}

PyObject* to_python(AllocationStep step) noexcept {
  PyObject* const module = PyImport_ImportModule("numapool.memory.placement");
  if (module == nullptr) return nullptr;
  PyObject* const steps = PyObject_GetAttrString(module, "AllocationStep");
  Py_DECREF(module);
  if (steps == nullptr) return nullptr;
  PyObject* const member = PyObject_GetAttrString(steps, step_name(step));
  Py_DECREF(steps);
  return member;
}

PyObject* migration_report(int node, const Placement& before, const Placement& after) {
  try {
    const auto was = py::reinterpret_steal<py::object>(to_python(before));
    const auto is = py::reinterpret_steal<py::object>(to_python(after));
    if (!was || !is) return nullptr;
    const py::object make = import_module("numapool.memory.migration").attr("report_of");
    return call_python(make, py::make_tuple(node, was, is)).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  }
}

std::string repr_text(std::size_t size_bytes, const BlockPlace& place, bool closed,
                      const void* address) {
  const std::string size = size_text(size_bytes);
  if (closed) return "<NodeBuffer " + size + ", closed>";
  std::string where =
      place.node_id ? "on node " + std::to_string(*place.node_id) : "on no single known node";
  if (!place.requested_node) where = "interleaved";
  std::string asked =
      place.requested_node ? "asked: " + std::to_string(*place.requested_node) + ", " : "";
  std::array<char, 32> at{};
  std::snprintf(at.data(), at.size(), "0x%" PRIxPTR, reinterpret_cast<std::uintptr_t>(address));
  return "<NodeBuffer " + size + " " + where + " (" + asked + "step " + step_name(place.step) +
         ") at " + at.data() + ">";
}

}  // namespace numapool::bindings
