// Block devices: partitions, whole disks, and how they are found by number and by name.
#include <string>

#include "platform/linux/devices/device_walk.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kBlocks = "sys/class/block/";

std::string kind_of(std::string_view name) {
  if (name.starts_with("nvme")) return "nvme";
  if (name.starts_with("pmem")) return "pmem";
  return "block";
}

// The name that device-mapper gave: /dev/mapper/NAME, and /dev/GROUP/VOLUME of LVM, whose own
// dashes are doubled.
std::optional<std::string> mapped(const DeviceTree& tree, std::string_view name) {
  std::string wanted;
  if (name.starts_with("mapper/")) {
    wanted = name.substr(7);
  } else {
    for (const char c : name) {
      if (c == '-') wanted += '-';
      wanted += c == '/' ? '-' : c;
    }
  }
  for (const std::string& one : tree.names("sys/class/block")) {
    if (!one.starts_with("dm-")) continue;
    if (tree.text(kBlocks + one + "/dm/name") == wanted) return tree.real(kBlocks + one);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> block_by_name(const DeviceTree& tree, std::string_view name) {
  std::string own(name);  // /dev/cciss/c0d0 is cciss!c0d0
  for (char& c : own) c = c == '/' ? '!' : c;
  if (!is_plain_name(own)) return std::nullopt;
  if (auto device = tree.real(kBlocks + own)) return device;
  return name.find('/') == std::string_view::npos ? std::nullopt : mapped(tree, name);
}

bool walk_block_number(Walk& walk, int depth, unsigned major, unsigned minor) {
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  auto device = walk.tree.real("sys/dev/block/" + number);
  if (!device) {  // a copy that left sys/dev out
    for (const std::string& name : walk.tree.names("sys/class/block")) {
      if (walk.tree.text(kBlocks + name + "/dev") != number) continue;
      device = walk.tree.real(kBlocks + name);
      break;
    }
  }
  if (!device) return false;
  walk_block(walk, depth, *device);
  return true;
}

void walk_block(Walk& walk, int depth, const std::string& device) {
  const std::string name(name_of(device));
  if (walk.tree.has(device + "/partition")) {
    const std::string disk(parent_of(device));
    DeviceStep step = step_of("partition", name, walk.tree.shown(device));
    if (!walk.enter(depth, std::move(step), device)) return;
    if (!disk.starts_with("sys/devices/")) {
      walk.dead_end("the disk of the partition " + name + " is not in the tree");
      return;
    }
    walk_block(walk, depth + 1, disk);
    return;
  }
  // A device with hardware of its own is not stacked on other devices.
  const bool is_hardware = device.starts_with("sys/devices/") && !is_virtual(device);
  if (!is_hardware && walk_stack(walk, depth, device)) return;
  if (!is_virtual(device)) {
    walk.arrive(depth, kind_of(name), name, device);
    return;
  }
  DeviceStep step = step_of("block", name, walk.tree.shown(device));
  if (!walk.enter(depth, std::move(step), device)) return;
  if (name.starts_with("loop")) {
    walk.dead_end(name + " has no file");
  } else if (name.starts_with("zram") || name.starts_with("ram")) {
    walk.dead_end(name + " is memory, of no node in particular");
  } else {
    walk.dead_end(name + " is virtual, and the system does not tell what it stands on");
  }
}

}  // namespace numapool::platform
