// Block devices that stand on others: device-mapper, md, loop, NVMe multipath heads and fabrics.
#include <string>
#include <utility>

#include "platform/linux/devices/device_walk.hpp"

namespace numapool::platform {
namespace {

// The prefixes that device-mapper's users write before the first dash of the uuid.
std::string mapping_kind(const std::string& uuid) {
  if (uuid.starts_with("LVM-")) return "LVM volume";
  if (uuid.starts_with("CRYPT-")) return "crypt";
  if (uuid.starts_with("mpath-")) return "multipath";
  if (uuid.starts_with("part") && uuid.find("-mpath-") != std::string::npos) return "partition";
  return "device-mapper";
}

void walk_slaves(Walk& walk, int depth, const std::string& device) {
  const std::string folder = device + "/slaves";
  bool any = false;
  for (const std::string& name : walk.tree.names(folder)) {
    auto slave = walk.tree.real(folder + "/" + name);
    // A copy without links has the names.
    if (!slave || *slave == folder + "/" + name) {
      auto by_name = block_by_name(walk.tree, name);
      if (by_name) slave = std::move(by_name);
    }
    any = true;
    if (slave) {
      walk_block(walk, depth, *slave);
    } else if (walk.enter(depth, step_of("block", name), {})) {
      walk.dead_end(name + " is not in the tree");
    }
  }
  if (!any) walk.dead_end(std::string(name_of(device)) + " stands on no device");
}

// nvme0n1 under nvme-subsys0: the path by controller 3 is nvme0c3n1.
void walk_paths(Walk& walk, int depth, const std::string& head) {
  const std::string name(name_of(head));
  const std::string subsystem(parent_of(head));
  const std::size_t split = name.rfind('n');
  bool any = false;
  for (const std::string& controller : walk.tree.names(subsystem)) {
    if (split == std::string::npos) break;
    if (!controller.starts_with("nvme") || controller.size() == 4 || controller == name) continue;
    if (controller.find_first_not_of("0123456789", 4) != std::string::npos) continue;
    const auto folder = walk.tree.real(subsystem + "/" + controller);
    const std::string path =
        name.substr(0, split) + "c" + controller.substr(4) + name.substr(split);
    const auto device = folder ? walk.tree.real(*folder + "/" + path) : std::nullopt;
    if (!device) continue;
    any = true;
    walk_block(walk, depth, *device);
  }
  if (!any) walk.dead_end("no path to " + name + " is in the tree");
}

// "traddr=192.168.1.7,trsvcid=4420,src_addr=192.168.1.2"
std::string_view field_of(std::string_view text, std::string_view name) noexcept {
  const auto value = mount_option(text, name);
  return value ? *value : std::string_view{};
}

void walk_fabric(Walk& walk, int depth, const std::string& device) {
  const std::string controller(parent_of(device));
  const std::string name(name_of(device));
  const std::string transport = walk.tree.text(controller + "/transport").value_or("unknown");
  const std::string address = walk.tree.text(controller + "/address").value_or("");
  DeviceStep step = step_of("NVMe over fabrics", name, walk.tree.shown(device));
  if (!walk.enter(depth, std::move(step), device)) return;
  const std::string_view interface = field_of(address, "host_iface");
  if (!interface.empty()) {
    walk_net(walk, depth + 1, std::string(interface));
  } else if (transport == "tcp" || transport == "rdma") {
    walk_server(walk, depth + 1, field_of(address, "traddr"), name);
  } else {
    walk.dead_end("the adapter of " + name + " (" + transport + ") cannot be told");
  }
}

void walk_loop(Walk& walk, int depth, const std::string& device, const std::string& file) {
  const std::string name(name_of(device));
  if (!walk.enter(depth, step_of("loop", name, walk.tree.shown(device)), device)) return;
  int code = 0;
  if (!walk_path(walk, depth + 1, file, code)) {
    walk.dead_end("the file of " + name + ", " + file + ", is not to be seen from here");
  }
}

}  // namespace

bool walk_stack(Walk& walk, int depth, const std::string& device) {
  const DeviceTree& tree = walk.tree;
  const std::string name(name_of(device));
  if (tree.has(device + "/dm")) {
    const std::string uuid = tree.text(device + "/dm/uuid").value_or("");
    DeviceStep step = step_of(mapping_kind(uuid), tree.text(device + "/dm/name").value_or(name),
                              tree.shown(device));
    if (walk.enter(depth, std::move(step), device)) walk_slaves(walk, depth + 1, device);
    return true;
  }
  if (tree.has(device + "/md")) {
    DeviceStep step =
        step_of("md", name, tree.shown(device), tree.text(device + "/md/level").value_or(""));
    if (walk.enter(depth, std::move(step), device)) walk_slaves(walk, depth + 1, device);
    return true;
  }
  if (const auto file = tree.text(device + "/loop/backing_file")) {
    walk_loop(walk, depth, device, *file);
    return true;
  }
  if (name_of(parent_of(device)).starts_with("nvme-subsys")) {
    DeviceStep step = step_of("NVMe multipath", name, tree.shown(device));
    if (walk.enter(depth, std::move(step), device)) walk_paths(walk, depth + 1, device);
    return true;
  }
  if (device.find("/nvme-fabrics/") != std::string::npos) {
    walk_fabric(walk, depth, device);
    return true;
  }
  if (!tree.names(device + "/slaves").empty()) {
    const bool is_new = walk.enter(depth, step_of("block", name, tree.shown(device)), device);
    if (is_new) walk_slaves(walk, depth + 1, device);
    return true;
  }
  return false;
}

}  // namespace numapool::platform
