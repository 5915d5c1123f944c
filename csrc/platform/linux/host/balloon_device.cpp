// Finds the balloon device of a guest: which driver, where its files are, whether it is at work.
#include "platform/linux/host/balloon_device.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "platform/linux/files/id_list.hpp"
#include "platform/linux/host/balloon_files.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kVirtioDevices = "sys/bus/virtio/devices";
constexpr std::string_view kVirtioBalloonId = "0x0005";  // virtio 1.2, 5.5.1
constexpr const char* kVmbusDevices = "sys/bus/vmbus/devices";
// "Dynamic Memory" (HV_DM_GUID of the kernel's linux/hyperv.h)
constexpr std::string_view kDynamicMemoryClass = "{525074dc-8985-46e2-8057-a307dc18a502}";
constexpr const char* kVmwareModule = "sys/module/vmw_balloon";

bool same_word(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// The device of a bus whose file `key` says `wanted`: the first that has a driver, or else the
// first.
std::optional<BalloonDevice> find_on_bus(const Folder& root, const char* bus, const char* key,
                                         std::string_view wanted, BalloonDriver driver) {
  const Folder devices = root.folder(bus);
  if (!devices.ok()) return std::nullopt;
  std::vector<std::string> names = devices.names();
  std::sort(names.begin(), names.end());
  std::optional<BalloonDevice> found;
  for (const std::string& name : names) {
    if (name.front() == '.') continue;
    const Folder device = devices.folder(name.c_str());
    const auto id = device.ok() ? device.read(key) : std::nullopt;
    if (!id || !same_word(trimmed(*id), wanted)) continue;
    const bool bound = device.folder("driver").ok();
    if (found && !bound) continue;
    found = BalloonDevice{driver, std::string(bus) + "/" + name, bound, {}};
    if (const auto features = device.read("features")) found->features = trimmed(*features);
    if (bound) return found;
  }
  return found;
}

}  // namespace

std::optional<BalloonDevice> find_balloon(const Folder& root) {
  const auto virtio =
      find_on_bus(root, kVirtioDevices, "device", kVirtioBalloonId, BalloonDriver::kVirtio);
  if (virtio && virtio->bound) return virtio;
  if (root.folder(kXenBalloon).ok()) {
    return BalloonDevice{BalloonDriver::kXen, kXenBalloon, true, {}};
  }
  // No bus shows VMware's: its driver loads on VMware alone, and is all there is to see.
  for (const char* const place : {kVmwareFile, kVmwareModule}) {
    if (root.read(place) || root.folder(place).ok()) {
      return BalloonDevice{BalloonDriver::kVmware, place, true, {}};
    }
  }
  const auto hyperv =
      find_on_bus(root, kVmbusDevices, "class_id", kDynamicMemoryClass, BalloonDriver::kHyperv);
  return hyperv && (hyperv->bound || !virtio) ? hyperv : virtio;
}

}  // namespace numapool::platform
