// Binds device locality: plain tuples, of which python/numapool/machine/devices.py makes its
// objects.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/device.hpp"
#include "text.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::object id_or_none(const std::optional<int>& id) {
  return id ? py::object(py::int_(*id)) : py::object(py::none());
}

py::tuple device_tuple(const Device& device) {
  return py::make_tuple(path_text(device.name), path_text(device.kind), id_or_none(device.node_id),
                        path_or_none(device.pci_address), path_or_none(device.evidence));
}

py::tuple step_tuple(const DeviceStep& step) {
  return py::make_tuple(step.depth, path_text(step.kind), path_text(step.name),
                        path_or_none(step.path), path_or_none(step.note), id_or_none(step.node_id));
}

template <class Items, class Make>
py::tuple tuple_of(const Items& items, const Make& make) {
  py::tuple out(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) out[i] = make(items[i]);
  return out;
}

DeviceLocality locate(const Topology& topology, const std::string& name) {
  const WithoutGil released;
  return locate_device(topology, name);
}

std::vector<Device> devices_of(const Topology& topology) {
  const WithoutGil released;
  return list_devices(topology);
}

}  // namespace

void bind_device(py::module_& module) {
  // (legs, nodes, node_id, steps, reason, outdated)
  module.def(
      "locate_device",
      [](const Topology& topology, const std::string& name) {
        const DeviceLocality found = locate(topology, name);
        return py::make_tuple(tuple_of(found.legs, device_tuple),
                              tuple_of(found.nodes, [](int node) { return py::int_(node); }),
                              id_or_none(found.node_id), tuple_of(found.steps, step_tuple),
                              path_or_none(found.reason), found.outdated);
      },
      py::arg("topology"), py::arg("name"));
  // (node_id, number of nodes, outdated)
  module.def(
      "device_node",
      [](const Topology& topology, const std::string& name) {
        const DeviceLocality found = locate(topology, name);
        return py::make_tuple(id_or_none(found.node_id), found.nodes.size(), found.outdated);
      },
      py::arg("topology"), py::arg("name"));
  module.def(
      "list_devices",
      [](const Topology& topology) { return tuple_of(devices_of(topology), device_tuple); },
      py::arg("topology"));
}

}  // namespace numapool::bindings
