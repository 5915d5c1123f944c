// Resolves a name: a path, a PCI address, a network interface, or another device.
#include "platform/device.hpp"

#include <cerrno>
#include <utility>

#include "platform/linux/devices/device_walk.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

bool walk_address_or_name(Walk& walk, const std::string& name) {
  const DeviceTree& tree = walk.tree;
  if (const auto address = pci_address(name)) {
    if (const auto device = tree.real("sys/bus/pci/devices/" + *address)) {
      walk_pci(walk, 0, *device);
      return true;
    }
  }
  if (is_plain_name(name) && tree.has("sys/class/net/" + name)) {
    walk_net(walk, 0, name);
    return true;
  }
  return walk_name(walk, 0, name);
}

DeviceWalk finished(Walk& walk) {
  if (walk.found.legs.empty() && walk.found.dead_ends.empty()) {
    walk.found.dead_ends.emplace_back("the walk leads round in a circle, to no hardware");
  }
  return std::move(walk.found);
}

}  // namespace

Result<DeviceWalk> walk_to_devices(const std::string& root, const std::string& name) {
  const Result<DeviceTree> tree = DeviceTree::open(root);
  if (!tree) return tree.failure();
  Walk walk(tree.value());
  const bool has_slash = name.find('/') != std::string::npos;
  int code = 0;
  // Of another machine no folder is the current one.
  if (has_slash || tree.value().live()) {
    if (walk_path(walk, 0, name, code)) return finished(walk);
    if (has_slash || code != ENOENT) return failed("open", code, name);
  }
  if (walk_address_or_name(walk, name)) return finished(walk);
  const std::string what = "'" + name + "' as a file, PCI address, network interface or device";
  return failed("look up", ENOENT, what);
}

}  // namespace numapool::platform
