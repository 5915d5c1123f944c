// Binds device locality as records; python/numapool/machine/devices.py makes public objects of
// them.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "bindings.hpp"
#include "numapool/device.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// The result of device_node(), which costs much less than converting the whole walk to records.
struct NearestNode {
  std::optional<int> node_id;
  std::size_t node_count = 0;
  bool outdated = false;
};

DeviceLocality locate(const Topology& topology, const std::string& name) {
  return without_gil([&] { return locate_device(topology, name); });
}

void bind_device_records(py::module_& module) {
  Record<Device>::bind(module, "Device",
                       {{"name", path<&Device::name>},
                        {"kind", path<&Device::kind>},
                        {"node_id", value<&Device::node_id>},
                        {"pci_address", optional_path<&Device::pci_address>},
                        {"evidence", optional_path<&Device::evidence>}});
  Record<DeviceStep>::bind(module, "DeviceStep",
                           {{"depth", value<&DeviceStep::depth>},
                            {"kind", path<&DeviceStep::kind>},
                            {"name", path<&DeviceStep::name>},
                            {"path", optional_path<&DeviceStep::path>},
                            {"note", optional_path<&DeviceStep::note>},
                            {"node_id", value<&DeviceStep::node_id>}});
  Record<DeviceLocality>::bind(module, "DeviceLocality",
                               {{"legs", record<&DeviceLocality::legs>},
                                {"nodes", value<&DeviceLocality::nodes>},
                                {"node_id", value<&DeviceLocality::node_id>},
                                {"steps", record<&DeviceLocality::steps>},
                                {"reason", optional_path<&DeviceLocality::reason>},
                                {"outdated", value<&DeviceLocality::outdated>}});
  Record<NearestNode>::bind(module, "NearestNode",
                            {{"node_id", value<&NearestNode::node_id>},
                             {"node_count", value<&NearestNode::node_count>},
                             {"outdated", value<&NearestNode::outdated>}});
}

}  // namespace

void bind_device(py::module_& module) {
  bind_device_records(module);
  module.def(
      "locate_device",
      [](const Topology& topology, const std::string& name) {
        return as_record(locate(topology, name));
      },
      py::arg("topology"), py::arg("name"));
  module.def(
      "device_node",
      [](const Topology& topology, const std::string& name) {
        const DeviceLocality found = locate(topology, name);
        return as_record(NearestNode{found.node_id, found.nodes.size(), found.outdated});
      },
      py::arg("topology"), py::arg("name"));
  module.def(
      "list_devices",
      [](const Topology& topology) {
        return as_record(without_gil([&] { return list_devices(topology); }));
      },
      py::arg("topology"));
}

}  // namespace numapool::bindings
