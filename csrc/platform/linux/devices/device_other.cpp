// Devices that are neither disks nor network interfaces: PCI functions, GPUs, InfiniBand, dax, VFIO
// groups; and which function of ours walks from a device's folder.
#include <array>
#include <charconv>
#include <string>

#include "platform/linux/devices/device_walk.hpp"

namespace numapool::platform {
namespace {

// Where a device is looked for by its own name, after the block devices.
constexpr std::array<const char*, 7> kFolders = {
    "sys/class/nvme/",     "sys/class/infiniband/",       "sys/bus/dax/devices/", "sys/class/drm/",
    "sys/bus/nd/devices/", "sys/class/infiniband_verbs/", "sys/class/accel/"};

std::string kind_of(const std::string& subsystem) {
  if (subsystem == "drm" || subsystem == "accel") return "gpu";
  if (subsystem.starts_with("infiniband")) return "infiniband";
  if (subsystem.starts_with("nvme")) return "nvme";
  if (subsystem == "dax") return "dax";
  if (subsystem == "nd") return "pmem";
  return "other";
}

// NVIDIA's driver has no devices in sysfs but says which /dev/nvidiaN is which function.
constexpr unsigned kNvidiaMajor = 195;

std::optional<std::string> nvidia_function(const DeviceTree& tree, unsigned minor) {
  constexpr std::string_view kKey = "Device Minor:";
  const std::string gpus = "proc/driver/nvidia/gpus";
  for (const std::string& address : tree.names(gpus)) {
    const std::string text = tree.text(gpus + "/" + address + "/information").value_or("");
    const std::size_t at = text.find(kKey);
    if (at == std::string::npos) continue;
    const std::size_t digits = text.find_first_not_of(" \t", at + kKey.size());
    if (digits == std::string::npos) continue;
    const std::size_t end = text.find_first_not_of("0123456789", digits);
    if (text.substr(digits, end - digits) != std::to_string(minor)) continue;
    if (const auto full = pci_address(address)) return tree.real("sys/bus/pci/devices/" + *full);
  }
  return std::nullopt;
}

void walk_group(Walk& walk, int depth, const std::string& device) {
  const std::string group(name_of(device));
  if (!walk.enter(depth, step_of("VFIO group", group, walk.tree.shown(device)), device)) return;
  const std::string folder = "sys/kernel/iommu_groups/" + group + "/devices";
  bool any = false;
  for (const std::string& name : walk.tree.names(folder)) {
    const auto member = walk.tree.real(folder + "/" + name);
    if (!member) continue;
    walk_pci(walk, depth + 1, *member);
    any = true;
  }
  if (!any) walk.dead_end("the VFIO group " + group + " has no devices");
}

// An InfiniBand device in software (rxe) names its interface.
void walk_virtual(Walk& walk, int depth, const std::string& device, const std::string& kind) {
  const std::string name(name_of(device));
  if (!walk.enter(depth, step_of(kind, name, walk.tree.shown(device)), device)) return;
  std::string infiniband = device;
  if (const auto owner = walk.tree.text(device + "/ibdev"); owner && is_plain_name(*owner)) {
    infiniband = "sys/class/infiniband/" + *owner;
  }
  if (const auto parent = walk.tree.text(infiniband + "/parent"); parent && kind == "infiniband") {
    walk_net(walk, depth + 1, *parent);
  } else {
    walk.dead_end(name + " is virtual, and the system does not tell what it stands on");
  }
}

}  // namespace

void walk_pci(Walk& walk, int depth, const std::string& device) {
  // Display controllers and processing accelerators (PCI Code and ID Assignment, classes 03, 12).
  const std::string code = walk.tree.text(device + "/class").value_or("");
  const bool is_gpu = code.starts_with("0x03") || code.starts_with("0x12");
  walk.arrive(depth, is_gpu ? "gpu" : "pci", std::string(name_of(device)), device);
}

void walk_device(Walk& walk, int depth, const std::string& device) {
  const auto link = walk.tree.link(device + "/subsystem");
  const std::string subsystem(link ? name_of(*link) : name_of(parent_of(device)));
  const std::string name(name_of(device));
  if (subsystem == "block") {
    walk_block(walk, depth, device);
  } else if (subsystem == "net") {
    walk_net(walk, depth, name);
  } else if (subsystem == "vfio") {
    walk_group(walk, depth, device);
  } else if (pci_function_of(device) == device) {
    walk_pci(walk, depth, device);
  } else if (is_virtual(device)) {
    walk_virtual(walk, depth, device, kind_of(subsystem));
  } else {
    walk.arrive(depth, kind_of(subsystem), name, device);
  }
}

void walk_char_number(Walk& walk, int depth, unsigned major, unsigned minor,
                      const std::string& path) {
  const DeviceTree& tree = walk.tree;
  auto device = tree.real("sys/dev/char/" + std::to_string(major) + ":" + std::to_string(minor));
  if (!device && major == kNvidiaMajor) device = nvidia_function(tree, minor);
  if (device) {
    walk_device(walk, depth, *device);
  } else {
    walk.dead_end(path + " is in no class of devices that sysfs shows");
  }
}

bool walk_name(Walk& walk, int depth, const std::string& name) {
  const DeviceTree& tree = walk.tree;
  if (const auto block = block_by_name(tree, name)) {
    walk_block(walk, depth, *block);
    return true;
  }
  const std::string own(name_of(name));  // /dev/infiniband/uverbs0, /dev/dri/card0
  if (!is_plain_name(own)) return false;
  std::optional<std::string> device;
  for (const char* const folder : kFolders) {
    if ((device = tree.real(folder + own))) break;
  }
  if (!device && name.starts_with("vfio/")) device = tree.real("sys/class/vfio/" + own);
  unsigned minor = 0;
  constexpr std::string_view kNvidia = "nvidia";
  if (!device && own.starts_with(kNvidia)) {
    const char* const end = own.data() + own.size();
    const auto read = std::from_chars(own.data() + kNvidia.size(), end, minor);
    if (read.ec == std::errc{} && read.ptr == end) device = nvidia_function(tree, minor);
  }
  if (device) walk_device(walk, depth, *device);
  return device.has_value();
}

}  // namespace numapool::platform
