// Binds the topology: one call hands Python everything it needs to build its objects.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/topology.hpp"
#include "text.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::tuple ints(const std::vector<int>& values) {
  py::tuple out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = py::int_(values[i]);
  return out;
}

// Paths are in them, which need not be UTF-8.
py::tuple texts(const std::vector<std::string>& values) {
  py::tuple out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = path_text(values[i]);
  return out;
}

py::tuple node_tuple(const Node& node) {
  return py::make_tuple(node.node_id, node.total_memory_bytes, ints(node.cpus), node.memory_tier,
                        node.read_latency_ns, node.write_latency_ns, node.read_bandwidth_bytes_s,
                        node.write_bandwidth_bytes_s);
}

Node node_of(const py::tuple& state) {
  return Node{state[0].cast<int>(),
              state[2].cast<std::vector<int>>(),
              state[1].cast<std::optional<std::uint64_t>>(),
              state[3].cast<std::optional<int>>(),
              state[4].cast<std::optional<std::uint64_t>>(),
              state[5].cast<std::optional<std::uint64_t>>(),
              state[6].cast<std::optional<std::uint64_t>>(),
              state[7].cast<std::optional<std::uint64_t>>()};
}

py::tuple nodes_of(const Topology& topology) {
  py::tuple out(topology.nodes().size());
  for (std::size_t i = 0; i < topology.nodes().size(); ++i)
    out[i] = node_tuple(topology.nodes()[i]);
  return out;
}

py::tuple distances_of(const Topology& topology) {
  py::tuple out(topology.distances().size());
  for (std::size_t i = 0; i < topology.distances().size(); ++i)
    out[i] = ints(topology.distances()[i]);
  return out;
}

py::tuple state_of(const Topology& topology) {
  return py::make_tuple(py::bytes(topology.root()), nodes_of(topology), ints(topology.allowed()),
                        distances_of(topology), texts(topology.notes()),
                        topology.distances_assumed(), ints(topology.possible()));
}

Topology topology_of(const py::tuple& state) {
  TopologyParts parts;
  parts.root = state[0].cast<std::string>();
  for (const auto node : state[1].cast<py::tuple>())
    parts.nodes.push_back(node_of(node.cast<py::tuple>()));
  parts.allowed = state[2].cast<std::vector<int>>();
  parts.distances = state[3].cast<std::vector<std::vector<int>>>();
  for (const auto note : state[4].cast<py::tuple>()) {
    const auto text = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(note.ptr()));
    if (!text) throw py::error_already_set();
    parts.notes.push_back(text);
  }
  parts.distances_assumed = state[5].cast<bool>();
  parts.possible = state[6].cast<std::vector<int>>();
  return Topology(std::move(parts));
}

// Python sees a topology that nobody can change, whoever holds it.
std::shared_ptr<Topology> for_python(const SharedTopology& topology) {
  return std::const_pointer_cast<Topology>(topology);
}

std::shared_ptr<Topology> ask(SharedTopology (*read)()) {
  const WithoutGil released;
  return for_python(read());
}

Topology detect() {
  const WithoutGil released;
  return Topology::detect();
}

Topology from_sysfs(const std::string& root, bool strict) {
  const WithoutGil released;
  return Topology::from_sysfs(root, strict);
}

}  // namespace

void bind_topology(py::module_& module) {
  py::class_<Topology, std::shared_ptr<Topology>>(module, "Topology")
      .def_static("detect", &detect)
      .def_static("from_sysfs", &from_sysfs, py::arg("root"), py::arg("strict"))
      // (node_id, total memory in bytes, CPUs, tier, read and write latency in ns, bandwidths in
      // bytes/s) by id
      .def("nodes", &nodes_of)
      .def("distances", &distances_of)
      .def("notes", [](const Topology& self) { return texts(self.notes()); })
      .def("distances_assumed", &Topology::distances_assumed)
      .def("allowed", [](const Topology& self) { return ints(self.allowed()); })
      .def("usable", [](const Topology& self) { return ints(self.usable_nodes()); })
      .def(
          "nearest", [](const Topology& self, int node_id) { return ints(self.nearest(node_id)); },
          py::arg("node_id"))
      .def("node_of_cpu", &Topology::node_of_cpu, py::arg("cpu"))
      .def(py::pickle(&state_of, &topology_of));
  module.def("current_topology", [] { return ask(&current_topology); });
  module.def("topology_now", [] { return ask(&topology_now); });
  module.def("renewed_topology", [] { return ask(&renewed_topology); });
  module.def(
      "free_memory_bytes",
      [](const std::string& root, int node_id) {
        const WithoutGil released;
        return free_memory_bytes(root, node_id);
      },
      py::arg("root"), py::arg("node_id"));
}

}  // namespace numapool::bindings
