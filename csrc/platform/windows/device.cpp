// From a path, an adapter's name, a PCI address or a device's instance id to hardware and its node.
#include "platform/device.hpp"

#include "platform/windows/devnodes.hpp"
#include "platform/windows/volumes.hpp"
// After windows.h, which they do not include.
#include <winsock2.h>
#include <ws2ipdef.h>
// After those two.
#include <iphlpapi.h>
#include <netioapi.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace numapool::platform {
namespace {

using windows::DeviceSet;
using windows::Devnode;
using windows::starts_with_ignoring_case;

// devguid.h and winioctl.h.
constexpr GUID kDisks{0x53f56307, 0xb6bf, 0x11d0, {0x94, 0xf2, 0x00, 0xa0, 0xc9, 0x1e, 0xfb, 0x8b}};
constexpr GUID kAdapters{
    0x4d36e972, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
constexpr GUID kDisplays{
    0x4d36e968, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
constexpr int kDeepest = 32;

bool equal(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && starts_with_ignoring_case(a, b);
}

// The device itself or the first above it that is a PCI function.
std::optional<Devnode> function_of(const DeviceSet& set, Devnode device) {
  std::optional<Devnode> at = device;
  for (int depth = 0; at && depth < kDeepest; ++depth) {
    if (starts_with_ignoring_case(set.instance_id(*at), "PCI\\")) return at;
    at = set.parent(*at);
  }
  return std::nullopt;
}

DeviceRecord record_of(const DeviceSet& set, Devnode device, std::string kind, std::string name) {
  windows::NodeAnswer answer = set.node_of(device);
  DeviceRecord out;
  out.kind = std::move(kind);
  out.name = std::move(name);
  out.node_id = answer.node_id;
  out.evidence = std::move(answer.evidence);
  out.reason = std::move(answer.reason);
  if (const auto function = function_of(set, device)) {
    out.pci_address = set.pci_address(*function);
    if (out.kind == "block" && set.service(*function) == "stornvme") out.kind = "nvme";
  }
  return out;
}

DeviceStep step_of(int depth, std::string kind, std::string name, std::string note = {}) {
  DeviceStep step;
  step.depth = depth;
  step.kind = std::move(kind);
  step.name = std::move(name);
  step.note = std::move(note);
  return step;
}

void arrive(DeviceWalk& walk, int depth, const DeviceSet& set, Devnode device, std::string kind,
            std::string name) {
  DeviceRecord leg = record_of(set, device, std::move(kind), std::move(name));
  const std::string& note = leg.node_id ? leg.evidence : leg.reason;
  const auto function = function_of(set, device);
  const std::string own = set.instance_id(device);
  const bool plugged = function && set.instance_id(*function) != own;
  DeviceStep step = step_of(depth, leg.kind, leg.name, plugged ? std::string{} : note);
  step.path = own;
  if (!plugged) step.node_id = leg.node_id;
  walk.steps.push_back(std::move(step));
  if (plugged) {
    DeviceStep plug = step_of(
        depth + 1, "PCI", leg.pci_address.empty() ? set.name(*function) : leg.pci_address, note);
    plug.path = set.instance_id(*function);
    plug.node_id = leg.node_id;
    walk.steps.push_back(std::move(plug));
  }
  walk.legs.push_back(std::move(leg));
}

// Disks are told apart by the number that each answers with.
void arrive_at_disk(DeviceWalk& walk, int depth, const DeviceSet& disks, unsigned number) {
  const std::string name = "PhysicalDrive" + std::to_string(number);
  for (const Devnode& disk : disks.devices()) {
    DWORD error = ERROR_SUCCESS;
    const auto answered = windows::disks_of(disks.interface_path(disk, kDisks), error);
    if (answered.size() != 1 || answered.front() != number) continue;
    arrive(walk, depth, disks, disk, "block", name);
    return;
  }
  const std::string why = "SetupAPI shows no device of " + name;
  walk.steps.push_back(step_of(depth, "block", name, why));
  walk.dead_ends.push_back(why);
}

Result<DeviceWalk> walk_path(const std::string& path) {
  Result<windows::VolumePlace> found = windows::find_volume(path);
  if (!found) return found.failure();
  const windows::VolumePlace& place = found.value();
  DeviceWalk walk;
  int depth = 0;
  walk.steps.push_back(step_of(depth++, place.mount_point.empty() ? "device file" : "file", path));
  if (!place.mount_point.empty())
    walk.steps.push_back(step_of(depth++, "volume", place.mount_point, place.volume));
  if (place.disks.empty()) {
    walk.steps.back().note = place.why_none;
    walk.dead_ends.push_back(place.why_none);
    return walk;
  }
  const DeviceSet disks = DeviceSet::with_interface(kDisks);
  for (const unsigned number : place.disks) arrive_at_disk(walk, depth, disks, number);
  return walk;
}

bool looks_like_pci(const std::string& name) noexcept {
  return name.size() == 12 && name[4] == ':' && name[7] == ':' && name[10] == '.';
}

bool walk_pci(DeviceWalk& walk, const std::string& name) {
  const DeviceSet present = DeviceSet::all_present();
  for (const Devnode& device : present.devices()) {
    if (!equal(present.pci_address(device), name)) continue;
    arrive(walk, 0, present, device, "pci", name);
    return true;
  }
  return false;
}

std::string guid_of_alias(const std::string& name) {
  NET_LUID luid{};
  GUID guid{};
  if (::ConvertInterfaceAliasToLuid(windows::to_wide(name).c_str(), &luid) != NO_ERROR ||
      ::ConvertInterfaceLuidToGuid(&luid, &guid) != NO_ERROR) {
    return {};
  }
  wchar_t text[64] = {};
  return ::StringFromGUID2(guid, text, 63) == 0 ? std::string{} : windows::to_utf8(text);
}

// By the connection's name ("Ethernet") or the adapter's own.
bool walk_adapter(DeviceWalk& walk, const std::string& name) {
  const DeviceSet adapters = DeviceSet::of_class(kAdapters);
  const std::string guid = guid_of_alias(name);
  for (const Devnode& device : adapters.devices()) {
    const bool same = (!guid.empty() && equal(adapters.adapter_guid(device), guid)) ||
                      equal(adapters.name(device), name);
    if (!same) continue;
    arrive(walk, 0, adapters, device, "net", name);
    return true;
  }
  return false;
}

bool walk_instance(DeviceWalk& walk, const std::string& id) {
  const DeviceSet set = DeviceSet::empty();
  const auto device = set.open(id);
  if (!device) return false;
  const bool is_pci = starts_with_ignoring_case(id, "PCI\\");
  arrive(walk, 0, set, *device, is_pci ? "pci" : "other", set.name(*device));
  return true;
}

void add_class(std::vector<DeviceRecord>& out, const GUID& setup_class, const char* kind) {
  const DeviceSet set = DeviceSet::of_class(setup_class);
  for (const Devnode& device : set.devices()) {
    // Those that Windows makes up (tunnels, remote displays) hang from no bus.
    if (starts_with_ignoring_case(set.instance_id(device), "PCI\\"))
      out.push_back(record_of(set, device, kind, set.name(device)));
  }
}

}  // namespace

Result<DeviceWalk> walk_to_devices(const std::string& root, const std::string& name) {
  if (root != "/")
    return windows::no_such("device_locality", root + ": other roots hold Linux's files");
  DeviceWalk walk;
  if (looks_like_pci(name)) {
    if (walk_pci(walk, name)) return walk;
    return Failure{Cause::kOther, "SetupDiEnumDeviceInfo", ENOENT, name};
  }
  if (walk_instance(walk, name)) return walk;
  Result<DeviceWalk> path = walk_path(name);
  if (path || path.failure().code != ENOENT) return path;
  if (name.find_first_of("/\\") == std::string::npos && walk_adapter(walk, name)) return walk;
  return path.failure();
}

Result<std::vector<DeviceRecord>> list_devices(const std::string& root) {
  if (root != "/")
    return windows::no_such("list_devices", root + ": other roots hold Linux's files");
  std::vector<DeviceRecord> out;
  const DeviceSet disks = DeviceSet::with_interface(kDisks);
  for (const Devnode& disk : disks.devices()) {
    DWORD error = ERROR_SUCCESS;
    const auto numbers = windows::disks_of(disks.interface_path(disk, kDisks), error);
    out.push_back(record_of(disks, disk, "block",
                            numbers.size() == 1 ? "PhysicalDrive" + std::to_string(numbers.front())
                                                : disks.name(disk)));
  }
  add_class(out, kAdapters, "net");
  add_class(out, kDisplays, "gpu");
  std::sort(out.begin(), out.end(), [](const DeviceRecord& a, const DeviceRecord& b) {
    return std::pair(a.kind, a.name) < std::pair(b.kind, b.name);
  });
  return out;
}

}  // namespace numapool::platform
