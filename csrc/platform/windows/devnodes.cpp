// Reads devices with SetupAPI; every property may be missing.
#include "platform/windows/devnodes.hpp"

// Before devpkey.h, so that the keys are defined here.
#include <initguid.h>

#include <devpkey.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

namespace numapool::platform::windows {
namespace {

constexpr int kDeepest = 32;                  // devices above one another
constexpr std::uint32_t kMostNodes = 0xFFFE;  // nodes are numbered by 16 bits; 0xFFFF means no node

char lower(char letter) noexcept {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

// Windows' lists of texts: each ends with a null, and the list with one more.
std::vector<std::string> split(const std::vector<wchar_t>& words) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < words.size() && words[at] != L'\0';) {
    out.push_back(to_utf8(words.data() + at));
    while (at < words.size() && words[at] != L'\0') ++at;
    ++at;
  }
  return out;
}

}  // namespace

bool starts_with_ignoring_case(std::string_view text, std::string_view start) noexcept {
  return text.size() >= start.size() &&
         std::equal(start.begin(), start.end(), text.begin(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

DeviceSet DeviceSet::all_present() {
  return DeviceSet(
      ::SetupDiGetClassDevsW(nullptr, nullptr, nullptr, DIGCF_ALLCLASSES | DIGCF_PRESENT));
}

DeviceSet DeviceSet::of_class(const GUID& setup_class) {
  return DeviceSet(::SetupDiGetClassDevsW(&setup_class, nullptr, nullptr, DIGCF_PRESENT));
}

DeviceSet DeviceSet::with_interface(const GUID& interface_class) {
  return DeviceSet(::SetupDiGetClassDevsW(&interface_class, nullptr, nullptr,
                                          DIGCF_DEVICEINTERFACE | DIGCF_PRESENT));
}

DeviceSet DeviceSet::empty() { return DeviceSet(::SetupDiCreateDeviceInfoList(nullptr, nullptr)); }

DeviceSet::~DeviceSet() {
  if (ok()) ::SetupDiDestroyDeviceInfoList(set_);
}

DeviceSet::DeviceSet(DeviceSet&& other) noexcept
    : set_(std::exchange(other.set_, INVALID_HANDLE_VALUE)) {}

std::vector<Devnode> DeviceSet::devices() const {
  std::vector<Devnode> out;
  Devnode device{};
  device.cbSize = sizeof device;
  for (DWORD i = 0; ::SetupDiEnumDeviceInfo(set_, i, &device) != FALSE; ++i) out.push_back(device);
  return out;
}

std::string DeviceSet::interface_path(Devnode device, const GUID& interface_class) const {
  SP_DEVICE_INTERFACE_DATA found{};
  found.cbSize = sizeof found;
  if (::SetupDiEnumDeviceInterfaces(set_, &device, &interface_class, 0, &found) == FALSE) return {};
  DWORD size = 0;
  ::SetupDiGetDeviceInterfaceDetailW(set_, &found, nullptr, 0, &size, nullptr);
  if (size < sizeof(SP_DEVICE_INTERFACE_DETAIL_DATA_W)) return {};
  std::vector<DWORD64> room(size / sizeof(DWORD64) + 1);  // aligned for the structure
  auto* const detail = reinterpret_cast<SP_DEVICE_INTERFACE_DETAIL_DATA_W*>(room.data());
  detail->cbSize = sizeof *detail;
  if (::SetupDiGetDeviceInterfaceDetailW(set_, &found, detail, size, nullptr, nullptr) == FALSE)
    return {};
  return to_utf8(detail->DevicePath);
}

std::optional<Devnode> DeviceSet::open(const std::string& instance_id) const {
  Devnode device{};
  device.cbSize = sizeof device;
  if (::SetupDiOpenDeviceInfoW(set_, to_wide(instance_id).c_str(), nullptr, 0, &device) == FALSE)
    return std::nullopt;
  return device;
}

std::optional<Devnode> DeviceSet::parent(Devnode device) const {
  std::vector<wchar_t> id(MAX_PATH + 1);
  DEVPROPTYPE type = 0;
  if (::SetupDiGetDevicePropertyW(set_, &device, &DEVPKEY_Device_Parent, &type,
                                  reinterpret_cast<PBYTE>(id.data()), MAX_PATH * sizeof(wchar_t),
                                  nullptr, 0) == FALSE ||
      type != DEVPROP_TYPE_STRING) {
    return std::nullopt;
  }
  return open(to_utf8(id.data()));
}

std::string DeviceSet::instance_id(Devnode device) const {
  std::vector<wchar_t> id(512);
  if (::SetupDiGetDeviceInstanceIdW(set_, &device, id.data(), 511, nullptr) == FALSE) return {};
  return to_utf8(id.data());
}

std::vector<std::string> DeviceSet::texts(Devnode& device, DWORD property) const {
  DWORD type = 0;
  DWORD size = 0;
  ::SetupDiGetDeviceRegistryPropertyW(set_, &device, property, &type, nullptr, 0, &size);
  if (size == 0 || (type != REG_SZ && type != REG_MULTI_SZ)) return {};
  std::vector<wchar_t> words(size / sizeof(wchar_t) + 2);
  if (::SetupDiGetDeviceRegistryPropertyW(set_, &device, property, &type,
                                          reinterpret_cast<PBYTE>(words.data()), size,
                                          nullptr) == FALSE) {
    return {};
  }
  return split(words);
}

std::optional<DWORD> DeviceSet::number(Devnode& device, DWORD property) const {
  DWORD value = 0;
  DWORD type = 0;
  if (::SetupDiGetDeviceRegistryPropertyW(set_, &device, property, &type,
                                          reinterpret_cast<PBYTE>(&value), sizeof value,
                                          nullptr) == FALSE) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint32_t> DeviceSet::number(Devnode& device, const DEVPROPKEY& key) const {
  std::uint32_t value = 0;
  DEVPROPTYPE type = 0;
  if (::SetupDiGetDevicePropertyW(set_, &device, &key, &type, reinterpret_cast<PBYTE>(&value),
                                  sizeof value, nullptr, 0) == FALSE ||
      (type != DEVPROP_TYPE_UINT32 && type != DEVPROP_TYPE_INT32)) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> DeviceSet::hardware_ids(Devnode device) const {
  return texts(device, SPDRP_HARDWAREID);
}

std::string DeviceSet::service(Devnode device) const {
  const auto found = texts(device, SPDRP_SERVICE);
  return found.empty() ? std::string{} : found.front();
}

std::string DeviceSet::name(Devnode device) const {
  for (const DWORD property : {SPDRP_FRIENDLYNAME, SPDRP_DEVICEDESC}) {
    const auto found = texts(device, property);
    if (!found.empty()) return found.front();
  }
  return instance_id(device);
}

std::string DeviceSet::adapter_guid(Devnode device) const {
  HKEY const key = ::SetupDiOpenDevRegKey(set_, &device, DICS_FLAG_GLOBAL, 0, DIREG_DRV, KEY_READ);
  if (key == INVALID_HANDLE_VALUE) return {};
  std::vector<wchar_t> words(64);
  DWORD size = 63 * sizeof(wchar_t);
  const LSTATUS status = ::RegQueryValueExW(key, L"NetCfgInstanceId", nullptr, nullptr,
                                            reinterpret_cast<PBYTE>(words.data()), &size);
  ::RegCloseKey(key);
  return status == ERROR_SUCCESS ? to_utf8(words.data()) : std::string{};
}

std::string DeviceSet::pci_address(Devnode device) const {
  if (!starts_with_ignoring_case(instance_id(device), "PCI\\")) return {};
  const auto bus = number(device, SPDRP_BUSNUMBER);
  const auto place = number(device, SPDRP_ADDRESS);  // the device above, the function below
  if (!bus || !place) return {};
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", static_cast<unsigned>(*bus >> 8 & 0xFFFF),
                static_cast<unsigned>(*bus & 0xFF), static_cast<unsigned>(*place >> 16 & 0x1F),
                static_cast<unsigned>(*place & 7));
  return text;
}

NodeAnswer DeviceSet::node_of(Devnode device) const {
  const std::string own = instance_id(device);
  std::optional<Devnode> at = device;
  for (int depth = 0; at && depth < kDeepest; ++depth) {
    const std::string id = instance_id(*at);
    // All bits set stands for none in what fills such properties.
    if (const auto node = number(*at, DEVPKEY_Device_Numa_Node); node && *node <= kMostNodes)
      return {static_cast<int>(*node), "DEVPKEY_Device_Numa_Node of " + id, {}};
    if (const auto domain = number(*at, DEVPKEY_Device_Numa_Proximity_Domain)) {
      USHORT node = 0;
      if (api().GetNumaProximityNodeEx(*domain, &node) != FALSE)
        return {node, "DEVPKEY_Device_Numa_Proximity_Domain of " + id, {}};
    }
    at = parent(*at);
  }
  return {std::nullopt, {}, "Windows tells no node of " + own + " or of what it is plugged into"};
}

}  // namespace numapool::platform::windows
