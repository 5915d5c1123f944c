// Devices where the system is unknown: nothing is told of them.
#include "platform/device.hpp"

namespace numapool::platform {

Result<DeviceWalk> walk_to_devices(const std::string&, const std::string& name) {
  return Failure{Cause::kUnsupported, "device_locality", 0, name};
}

Result<std::vector<DeviceRecord>> list_devices(const std::string&) {
  return Failure{Cause::kUnsupported, "list_devices", 0, {}};
}

}  // namespace numapool::platform
