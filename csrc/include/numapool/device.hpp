// Where a device is: the nodes of the hardware behind a path, a name or an address, and the node
// nearest to all of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "numapool/topology.hpp"
#include "platform/device.hpp"

namespace numapool {

using Device = platform::DeviceRecord;
using DeviceStep = platform::DeviceStep;

struct DeviceLocality {
  std::vector<Device> legs;       // all hardware that the walk found; a leg's node may be unknown
  std::vector<int> nodes;         // nodes of the legs, ascending, no duplicates
  std::optional<int> node_id;     // the legs' only node, or the one nearest to all; empty: unknown
  std::vector<DeviceStep> steps;  // the steps from the name to the hardware
  std::string reason;     // why the node of a leg, or of all, is unknown; empty: all are known
  bool outdated = false;  // a leg's node is not in the topology
};

// `name` is a path if it has a slash or exists as a file; else a PCI address; else a network
// interface; else another device. It is looked up now, on the machine that the topology was read
// from. Throws Error: kSystem with ENOENT for a name that does not exist there.
[[nodiscard]] DeviceLocality locate_device(const Topology& topology, const std::string& name);

// The usable node (has memory, allowed) with the smallest sum of distances from all of `from`,
// which may name a node more than once. Ties are broken by the smallest maximum distance, then by
// the lowest id. If `from` has only one distinct node, that node is returned even if it is not
// usable. Empty if `from` is empty. Throws Error(kNodeNotFound).
[[nodiscard]] std::optional<int> nearest_to_all(const Topology& topology,
                                                std::span<const int> from);

// All hardware of the topology's machine that memory may want to be near; empty if the system does
// not list any. A node that the topology does not have counts as unknown. Throws Error(kSystem).
[[nodiscard]] std::vector<Device> list_devices(const Topology& topology);

}  // namespace numapool
