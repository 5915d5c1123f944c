// Binds the topology: one call hands Python everything it needs to build its objects.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/topology.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// Paths are in them, which need not be UTF-8.
py::tuple notes_of(const Topology& topology) { return tuple_of(topology.notes(), &path_text); }

py::str kind_of(const Node& node) { return kind_text(node.kind); }

std::string bytes_of(const py::handle& path) {
  const auto text = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(path.ptr()));
  if (!text) throw py::error_already_set();
  return text;
}

void bind_topology_records(py::module_& module) {
  Record<Node>::bind(module, "Node",
                     {{"node_id", value<&Node::node_id>},
                      {"total_memory_bytes", value<&Node::total_memory_bytes>},
                      {"cpus", value<&Node::cpus>},
                      {"memory_tier", value<&Node::memory_tier>},
                      {"read_latency_ns", value<&Node::read_latency_ns>},
                      {"write_latency_ns", value<&Node::write_latency_ns>},
                      {"read_bandwidth_bytes_s", value<&Node::read_bandwidth_bytes_s>},
                      {"write_bandwidth_bytes_s", value<&Node::write_bandwidth_bytes_s>},
                      {"memory_of_machine", value<&Node::memory_of_machine>},
                      {"kind", [](const Node& node) -> py::object { return kind_of(node); }},
                      {"kind_evidence", path<&Node::kind_evidence>}});
}

// The state of a node in a pickle.
py::tuple state_of(const Node& node) {
  return py::make_tuple(node.node_id, node.total_memory_bytes, attribute(node.cpus),
                        node.memory_tier, node.read_latency_ns, node.write_latency_ns,
                        node.read_bandwidth_bytes_s, node.write_bandwidth_bytes_s,
                        node.memory_of_machine, static_cast<int>(node.kind),
                        path_text(node.kind_evidence), node.movable_only);
}

Node node_of(const py::tuple& state) {
  return Node{state[0].cast<int>(),
              state[2].cast<std::vector<int>>(),
              state[1].cast<std::optional<std::uint64_t>>(),
              state[3].cast<std::optional<int>>(),
              state[4].cast<std::optional<std::uint64_t>>(),
              state[5].cast<std::optional<std::uint64_t>>(),
              state[6].cast<std::optional<std::uint64_t>>(),
              state[7].cast<std::optional<std::uint64_t>>(),
              state[8].cast<bool>(),
              static_cast<MemoryKind>(state[9].cast<int>()),
              bytes_of(state[10]),
              state[11].cast<bool>()};
}

py::tuple state_of(const Topology& topology) {
  const py::tuple nodes =
      tuple_of(topology.nodes(), [](const Node& node) { return state_of(node); });
  return py::make_tuple(py::bytes(topology.root()), nodes, attribute(topology.allowed()),
                        attribute(topology.distances()), notes_of(topology),
                        topology.distances_assumed(), attribute(topology.possible()),
                        attribute(topology.default_nodes()));
}

Topology topology_of(const py::tuple& state) {
  TopologyParts parts;
  parts.root = state[0].cast<std::string>();
  for (const auto node : state[1].cast<py::tuple>())
    parts.nodes.push_back(node_of(node.cast<py::tuple>()));
  parts.allowed = state[2].cast<std::vector<int>>();
  parts.distances = state[3].cast<std::vector<std::vector<int>>>();
  for (const auto note : state[4].cast<py::tuple>()) parts.notes.push_back(bytes_of(note));
  parts.distances_assumed = state[5].cast<bool>();
  parts.possible = state[6].cast<std::vector<int>>();
  parts.defaults = state[7].cast<std::vector<int>>();
  return Topology(std::move(parts));
}

// To Python, a topology is immutable, so all references can share it.
std::shared_ptr<Topology> for_python(const SharedTopology& topology) {
  return std::const_pointer_cast<Topology>(topology);
}

std::shared_ptr<Topology> ask(SharedTopology (*read)()) {
  const WithoutGil released;
  return for_python(read());
}

Topology detect(const std::optional<std::string>& default_nodes) {
  const WithoutGil released;
  return Topology::detect(default_nodes);
}

Topology from_sysfs(const std::string& root, bool strict,
                    const std::optional<std::string>& default_nodes) {
  const WithoutGil released;
  return Topology::from_sysfs(root, strict, default_nodes);
}

}  // namespace

void bind_topology(py::module_& module) {
  bind_topology_records(module);
  py::class_<Topology, std::shared_ptr<Topology>>(module, "Topology")
      .def_static("detect", &detect, py::arg("default_nodes"))
      .def_static("from_sysfs", &from_sysfs, py::arg("root"), py::arg("strict"),
                  py::arg("default_nodes"))
      .def("nodes", [](const Topology& self) { return as_record(self.nodes()); })  // by id
      .def("distances", [](const Topology& self) { return attribute(self.distances()); })
      .def("notes", &notes_of)
      .def("distances_assumed", &Topology::distances_assumed)
      .def("allowed", [](const Topology& self) { return attribute(self.allowed()); })
      .def("usable", [](const Topology& self) { return attribute(self.usable_nodes()); })
      .def("default_nodes", [](const Topology& self) { return attribute(self.default_nodes()); })
      .def("default_nodes_problem",
           [](const Topology& self) { return words_or_none(self.default_nodes_problem()); })
      .def(
          "memory_order",
          [](const Topology& self, int node_id) { return attribute(self.memory_order(node_id)); },
          py::arg("node_id"))
      .def(
          "nearest",
          [](const Topology& self, int node_id) { return attribute(self.nearest(node_id)); },
          py::arg("node_id"))
      .def("node_of_cpu", &Topology::node_of_cpu, py::arg("cpu"))
      .def(py::pickle([](const Topology& self) { return state_of(self); }, &topology_of));
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
