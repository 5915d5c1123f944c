// Where a device is: the nodes of the hardware that a path, a name or an address leads to, and the
// node that is nearest to all of it.
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
  std::vector<Device> legs;       // all hardware that the walk led to; without a node if unknown
  std::vector<int> nodes;         // of the legs, ascending, each once
  std::optional<int> node_id;     // the legs' only node, or the nearest to all; nothing: unknown
  std::vector<DeviceStep> steps;  // the walk
  std::string reason;             // why a node is unknown, of one leg or of all; empty: none is
  bool outdated = false;          // a leg is on a node that the topology does not have
};

// `name` is a path if it has a slash or exists as a file, else a PCI address, else a network
// interface, else another device; of the machine that the topology was read from. Reads what the
// system says now. Throws Error: kSystem with ENOENT for a name that means nothing there.
[[nodiscard]] DeviceLocality locate_device(const Topology& topology, const std::string& name);

// The usable node (memory, allowed) with the least sum of distances from all of `from`, which may
// name a node more than once; of equals the one with the smallest greatest distance, then the
// lowest id. The only node in `from` is the answer whatever it has. Nothing where `from` is empty.
// Throws Error(kNodeNotFound).
[[nodiscard]] std::optional<int> nearest_to_all(const Topology& topology,
                                                std::span<const int> from);

// All hardware of the topology's machine that memory may want to be near to; none where the system
// does not tell. A node that the topology does not have counts as unknown. Throws Error(kSystem).
[[nodiscard]] std::vector<Device> list_devices(const Topology& topology);

}  // namespace numapool
