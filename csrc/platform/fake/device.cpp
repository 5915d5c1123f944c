// The scripted machine's devices: what a test says they are.
#include "platform/device.hpp"

#include <cerrno>

#include "platform/fake/device_script.hpp"

namespace numapool::platform {

fake::DeviceScript& fake::device_script() {
  static DeviceScript script;
  return script;
}

Result<DeviceWalk> walk_to_devices(const std::string&, const std::string& name) {
  const fake::DeviceScript& script = fake::device_script();
  if (script.failure) return *script.failure;
  const auto found = script.walks.find(name);
  if (found == script.walks.end()) return Failure{Cause::kOther, "open", ENOENT, name};
  return found->second;
}

Result<std::vector<DeviceRecord>> list_devices(const std::string&) {
  const fake::DeviceScript& script = fake::device_script();
  if (script.failure) return *script.failure;
  return script.devices;
}

}  // namespace numapool::platform
