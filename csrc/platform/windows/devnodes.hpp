// Devices as SetupAPI tells them: sets of them, their properties, and the node they are on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/windows/api.hpp"
// After windows.h, which they do not include.
#include <setupapi.h>

#include <devpropdef.h>

namespace numapool::platform::windows {

using Devnode = SP_DEVINFO_DATA;

struct NodeAnswer {
  std::optional<int> node_id;
  std::string evidence;
  std::string reason;  // empty with a node
};

[[nodiscard]] bool starts_with_ignoring_case(std::string_view text,
                                             std::string_view start) noexcept;

// A set of devices. Devices belong to the set that told them.
class DeviceSet {
 public:
  static DeviceSet all_present();
  static DeviceSet of_class(const GUID& setup_class);
  static DeviceSet with_interface(const GUID& interface_class);
  static DeviceSet empty();
  ~DeviceSet();
  DeviceSet(DeviceSet&& other) noexcept;
  DeviceSet& operator=(DeviceSet&&) = delete;
  DeviceSet(const DeviceSet&) = delete;
  DeviceSet& operator=(const DeviceSet&) = delete;

  [[nodiscard]] bool ok() const noexcept { return set_ != INVALID_HANDLE_VALUE; }
  [[nodiscard]] std::vector<Devnode> devices() const;
  // The path of a device's interface, to open it with; empty if it has none.
  [[nodiscard]] std::string interface_path(Devnode device, const GUID& interface_class) const;
  // By instance id, where such a device is known.
  [[nodiscard]] std::optional<Devnode> open(const std::string& instance_id) const;
  [[nodiscard]] std::optional<Devnode> parent(Devnode device) const;

  [[nodiscard]] std::string instance_id(Devnode device) const;
  [[nodiscard]] std::vector<std::string> hardware_ids(Devnode device) const;
  [[nodiscard]] std::string service(Devnode device) const;
  // The device's friendly name, else its description.
  [[nodiscard]] std::string name(Devnode device) const;
  // The key by which Windows knows a network adapter; empty for others.
  [[nodiscard]] std::string adapter_guid(Devnode device) const;
  // "0000:3b:00.0"; empty if it is not a PCI function.
  [[nodiscard]] std::string pci_address(Devnode device) const;
  // The device's, or the next above it that has one.
  [[nodiscard]] NodeAnswer node_of(Devnode device) const;

 private:
  explicit DeviceSet(HDEVINFO set) noexcept : set_(set) {}
  [[nodiscard]] std::vector<std::string> texts(Devnode& device, DWORD property) const;
  [[nodiscard]] std::optional<DWORD> number(Devnode& device, DWORD property) const;
  [[nodiscard]] std::optional<std::uint32_t> number(Devnode& device, const DEVPROPKEY& key) const;

  HDEVINFO set_;
};

}  // namespace numapool::platform::windows
