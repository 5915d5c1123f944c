// Binds the topology: one call hands Python everything it needs to build its objects.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/topology.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::tuple ints(const std::vector<int>& values) {
  py::tuple out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = py::int_(values[i]);
  return out;
}

py::tuple node_tuple(const Node& node) {
  return py::make_tuple(node.node_id, node.total_memory_bytes, ints(node.cpus), node.memory_tier,
                        node.read_latency_ns, node.write_latency_ns, node.read_bandwidth_bytes_s,
                        node.write_bandwidth_bytes_s);
}

Topology detect() {
  const WithoutGil released;
  return Topology::detect();
}

Topology from_sysfs(const std::string& root) {
  const WithoutGil released;
  return Topology::from_sysfs(root);
}

}  // namespace

void bind_topology(py::module_& module) {
  py::class_<Topology>(module, "Topology")
      .def_static("detect", &detect)
      .def_static("from_sysfs", &from_sysfs, py::arg("root"))
      // (node_id, total memory in bytes, CPUs, tier, read and write latency in ns, bandwidths in
      // bytes/s) by id
      .def("nodes",
           [](const Topology& self) {
             py::tuple out(self.nodes().size());
             for (std::size_t i = 0; i < self.nodes().size(); ++i)
               out[i] = node_tuple(self.nodes()[i]);
             return out;
           })
      .def("distances",
           [](const Topology& self) {
             py::tuple out(self.distances().size());
             for (std::size_t i = 0; i < self.distances().size(); ++i)
               out[i] = ints(self.distances()[i]);
             return out;
           })
      .def("distances_assumed", &Topology::distances_assumed)
      .def("allowed", [](const Topology& self) { return ints(self.allowed()); })
      .def("usable", [](const Topology& self) { return ints(self.usable_nodes()); })
      .def(
          "nearest", [](const Topology& self, int node_id) { return ints(self.nearest(node_id)); },
          py::arg("node_id"))
      .def("node_of_cpu", &Topology::node_of_cpu, py::arg("cpu"));
  module.def(
      "free_memory_bytes",
      [](const std::string& root, int node_id) {
        const WithoutGil released;
        return free_memory_bytes(root, node_id);
      },
      py::arg("root"), py::arg("node_id"));
}

}  // namespace numapool::bindings
