// Finds the devices under a file system without a block device: btrfs, overlay, memory, a server.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <string>
#include <utility>

#include "platform/linux/devices/device_walk.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

// The block device of a mount's source. A container may lack the file, but not the name.
std::optional<std::string> device_of_source(const DeviceTree& tree, std::string_view source) {
  if (!source.starts_with("/dev/")) return std::nullopt;
  struct stat status{};
  if (tree.live() && stat(std::string(source).c_str(), &status) == 0 && S_ISBLK(status.st_mode)) {
    return tree.real("sys/dev/block/" + std::to_string(major(status.st_rdev)) + ":" +
                     std::to_string(minor(status.st_rdev)));
  }
  return block_by_name(tree, source.substr(5));
}

// All devices of a btrfs: sys/fs/btrfs/UUID/devices of which the source is one.
void walk_btrfs(Walk& walk, int depth, const Mount& mount) {
  const auto source = device_of_source(walk.tree, mount.source);
  if (!source) {
    walk.dead_end("the device of the btrfs, " + mount.source + ", is not to be seen from here");
    return;
  }
  const std::string name(name_of(*source));
  const std::string all = "sys/fs/btrfs";
  for (const std::string& uuid : walk.tree.names(all)) {
    const std::string folder = all + "/" + uuid + "/devices";
    if (!walk.tree.has(folder + "/" + name)) continue;
    for (const std::string& one : walk.tree.names(folder)) {
      if (const auto device = block_by_name(walk.tree, one)) walk_block(walk, depth, *device);
    }
    return;
  }
  walk_block(walk, depth, *source);
}

// Splits a list of folders at its colons. As in the option, a backslash stands before a character
// that is meant itself.
void split_layers(const std::string& text, std::vector<std::string>& layers) {
  std::string layer;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      layer += text[++i];
    } else if (text[i] != ':') {
      layer += text[i];
    } else if (!layer.empty()) {
      layers.push_back(std::exchange(layer, {}));
    }
  }
  if (!layer.empty()) layers.push_back(std::move(layer));
}

// The layers of an overlay, the one that is written to first (overlayfs.rst). Since Linux 6.8 each
// may have an option of its own.
std::vector<std::string> layers_of(std::string_view options) {
  std::vector<std::string> layers;
  if (const auto upper = mount_option(options, "upperdir")) split_layers(unescaped(*upper), layers);
  while (!options.empty()) {
    const std::size_t length = std::min(options.find(','), options.size());
    const std::string_view one = options.substr(0, length);
    options.remove_prefix(std::min(length + 1, options.size()));
    for (const std::string_view name : {"lowerdir=", "lowerdir+=", "datadir+="}) {
      if (!one.starts_with(name)) continue;
      const std::string value = unescaped(one.substr(name.size()));
      if (name == "lowerdir=") {
        split_layers(value, layers);
      } else {
        layers.push_back(value);
      }
    }
  }
  return layers;
}

// A file is in the topmost layer that has it; a folder is in all that have it.
void walk_overlay(Walk& walk, int depth, const Mount& mount, std::string_view inside) {
  const std::string rest = (mount.root == "/" ? "" : mount.root) + std::string(inside);
  const std::size_t steps = walk.found.steps.size();
  for (const std::string& layer : layers_of(mount.options)) {
    if (!layer.starts_with('/')) continue;  // from a folder that only the mounting process knows
    const std::string place = layer + rest;
    struct stat status{};
    if (walk.tree.live() && lstat(place.c_str(), &status) != 0) continue;
    int code = 0;
    walk_path(walk, depth, place, code);
    if (walk.tree.live() && !S_ISDIR(status.st_mode)) return;
  }
  if (walk.found.steps.size() == steps) {
    walk.dead_end("the layers of the overlay on " + mount.point + " are not to be seen from here");
  }
}

// "mpol=bind:0,2-3,size=1g": a list of nodes has commas too.
std::string_view policy_of(std::string_view options) noexcept {
  constexpr std::string_view kKey = "mpol=";
  std::size_t at = options.starts_with(kKey) ? 0 : options.find(",mpol=");
  if (at == std::string_view::npos) return {};
  options.remove_prefix(at + kKey.size() + (options[at] == ',' ? 1 : 0));
  std::size_t end = 0;
  while (end < options.size() &&
         (options[end] != ',' ||
          (end + 1 < options.size() && options[end + 1] >= '0' && options[end + 1] <= '9'))) {
    ++end;
  }
  return options.substr(0, end);
}

// Files in memory have no device; the mount may say their nodes (tmpfs(5), mpol).
void walk_memory(Walk& walk, const Mount& mount) {
  const std::string_view policy = policy_of(mount.options);
  const std::size_t colon = policy.find(':');
  const auto nodes = colon == std::string_view::npos
                         ? std::nullopt
                         : parse_id_list(policy.substr(colon + 1), kLargestNodeId);
  if (!nodes || nodes->empty()) {
    walk.dead_end(mount.point + " is memory, of whichever node first touches it" +
                  (policy.empty() ? "" : " (mpol=" + std::string(policy) + ")"));
    return;
  }
  DeviceStep& step = walk.found.steps.back();
  step.note = "mpol=" + std::string(policy);
  if (nodes->size() == 1) step.node_id = nodes->front();
  for (const int node : *nodes) {
    walk.arrive_in_memory(mount.point, node, walk.tree.shown("proc/self/mountinfo"));
  }
}

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) noexcept {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Other file systems by the devices that their source names; bcachefs has colons between several.
bool walk_source(Walk& walk, int depth, std::string_view source) {
  bool any = false;
  while (!source.empty()) {
    const std::size_t length = std::min(source.find(":/dev/"), source.size());
    if (const auto device = device_of_source(walk.tree, source.substr(0, length))) {
      walk_block(walk, depth, *device);
      any = true;
    }
    source.remove_prefix(std::min(length + 1, source.size()));
  }
  return any;
}

}  // namespace

void walk_mount(Walk& walk, int depth, const Mount& mount, std::string_view inside) {
  const std::string key = "mount " + std::to_string(mount.id) + " " + std::string(inside);
  DeviceStep step = step_of(mount.type, mount.point, walk.tree.shown("proc/self/mountinfo"));
  // "none", "tmpfs" and the like tell nothing
  if (mount.source.find_first_of("/:") != std::string::npos) step.note = mount.source;
  if (!walk.enter(depth, std::move(step), key)) return;
  if (mount.type == "btrfs") {
    walk_btrfs(walk, depth + 1, mount);
  } else if (mount.type == "overlay") {
    walk_overlay(walk, depth + 1, mount, inside);
  } else if (is_one_of(mount.type, {"tmpfs", "ramfs", "hugetlbfs", "devtmpfs", "rootfs"})) {
    walk_memory(walk, mount);
  } else if (is_one_of(mount.type, {"nfs", "nfs4", "cifs", "smb3"})) {
    const auto address = mount_option(mount.options, "addr");
    walk_server(walk, depth + 1, address.value_or(""), mount.source);
  } else if (mount.type == "sysfs" && mount.root == "/") {
    walk_in_sysfs(walk, depth + 1, "sys" + std::string(inside));
  } else if (!walk_source(walk, depth + 1, mount.source)) {
    walk.dead_end("a file system of type " + mount.type + " tells no device");
  }
}

}  // namespace numapool::platform
