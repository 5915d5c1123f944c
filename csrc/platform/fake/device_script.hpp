// The devices of the scripted machine.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "platform/device.hpp"

namespace numapool::platform::fake {

struct DeviceScript {
  std::map<std::string, DeviceWalk> walks;  // by name; others are ENOENT
  std::vector<DeviceRecord> devices;
  std::optional<Failure> failure;  // set: what every call answers instead
};

// Not thread-safe to change while calls run.
[[nodiscard]] DeviceScript& device_script();

}  // namespace numapool::platform::fake
