// The walk from a name to hardware: the steps so far, and one function for each kind of station.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "platform/device.hpp"
#include "platform/linux/devices/device_tree.hpp"
#include "platform/linux/files/mountinfo.hpp"

namespace numapool::platform {

// Steps and legs in the making. A walk goes through nothing twice and ends after a thousand steps,
// so that trees that lead round in circles, or to a million slaves, cost no more than others.
class Walk {
 public:
  explicit Walk(const DeviceTree& device_tree) : tree(device_tree) {}

  // Adds a step. False where the walk must not go on from it: `key` was walked from before, or the
  // walk is too long; an empty key is always new.
  [[nodiscard]] bool enter(int depth, DeviceStep step, const std::string& key);
  // The last step leads to no hardware, and that is why.
  void dead_end(std::string reason);
  // Adds the hardware `name` in the folder `device` as a leg, with steps for it and for the bus
  // that it is plugged into.
  void arrive(int depth, std::string kind, std::string name, const std::string& device);
  // A leg of memory on `node`.
  void arrive_in_memory(const std::string& name, int node, std::string evidence);

  const DeviceTree& tree;
  DeviceWalk found;

 private:
  std::unordered_set<std::string> seen_;
  bool full_ = false;
};

// The name a step is shown by.
[[nodiscard]] DeviceStep step_of(std::string kind, std::string name, std::string path = {},
                                 std::string note = {});

// Each walks from its station down to the legs. `device` is a folder below the root.
void walk_block(Walk& walk, int depth, const std::string& device);
// False where the name, or the number, is of no block device.
bool walk_block_number(Walk& walk, int depth, unsigned major, unsigned minor);
void walk_net(Walk& walk, int depth, const std::string& name);
void walk_pci(Walk& walk, int depth, const std::string& device);
// A device of any subsystem: hands over to the functions above.
void walk_device(Walk& walk, int depth, const std::string& device);
// Any device except network interfaces, by its own name or by that of its file below /dev. False if
// there is no such device.
bool walk_name(Walk& walk, int depth, const std::string& name);
void walk_char_number(Walk& walk, int depth, unsigned major, unsigned minor,
                      const std::string& path);
// The network interface that leads to a server; `whose` names what the server serves.
void walk_server(Walk& walk, int depth, std::string_view address, const std::string& whose);
// The devices under a mount; `inside` is the wanted path, relative to the mount point.
void walk_mount(Walk& walk, int depth, const Mount& mount, std::string_view inside);
// The device that a file of sysfs belongs to.
void walk_in_sysfs(Walk& walk, int depth, const std::string& path);
// A file, folder or device file. If there is none, returns false with errno as `code`, and adds
// nothing.
bool walk_path(Walk& walk, int depth, const std::string& path, int& code);
// Stacked block devices: device-mapper, md, loop, NVMe multipath heads and fabrics. False for other
// devices.
bool walk_stack(Walk& walk, int depth, const std::string& device);

// The folder of a block device by what its file below /dev is called ("sda", "mapper/vg-data").
[[nodiscard]] std::optional<std::string> block_by_name(const DeviceTree& tree,
                                                       std::string_view name);
// Whether the text can be the name of a file in a folder of sysfs.
[[nodiscard]] bool is_plain_name(std::string_view name) noexcept;

}  // namespace numapool::platform
