// PCI addresses, and what a bus says of its node (Documentation/ABI/testing/sysfs-bus-pci).
#include <algorithm>

#include "platform/linux/devices/device_tree.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

// Takes the hexadecimal digits that `text` starts with, `least` to `most` of them.
std::optional<std::string_view> take_hex(std::string_view& text, std::size_t least,
                                         std::size_t most) noexcept {
  std::size_t count = text.find_first_not_of("0123456789abcdefABCDEF");
  count = std::min(count, text.size());
  if (count < least || count > most) return std::nullopt;
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

bool take(std::string_view& text, char c) noexcept {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// How sysfs writes an address: lower case, the domain with four digits or more.
bool is_function_name(std::string_view name) noexcept {
  if (name.size() < 12 || name[name.size() - 2] != '.') return false;
  return take_hex(name, 4, 8) && take(name, ':') && take_hex(name, 2, 2) && take(name, ':') &&
         take_hex(name, 2, 2) && take(name, '.') && take_hex(name, 1, 1) && name.empty();
}

std::vector<int> ids_of(const DeviceTree& tree, const std::string& file) {
  const auto text = tree.text(file);
  auto ids = text ? parse_id_list(*text) : std::nullopt;
  return ids ? *std::move(ids) : std::vector<int>{};
}

}  // namespace

std::optional<std::string> pci_address(std::string_view text) {
  std::string domain = "0000";
  if (std::count(text.begin(), text.end(), ':') == 2) {
    auto digits = take_hex(text, 1, 8);
    if (!digits || !take(text, ':')) return std::nullopt;
    // nvidia-smi writes eight digits where sysfs writes four, or more where four do not hold it.
    while (digits->size() > 4 && digits->front() == '0') digits->remove_prefix(1);
    domain = std::string(4 - std::min<std::size_t>(digits->size(), 4), '0');
    domain += *digits;
  }
  const auto bus = take_hex(text, 1, 2);
  if (!bus || !take(text, ':')) return std::nullopt;
  const auto slot = take_hex(text, 1, 2);
  if (!slot || !take(text, '.')) return std::nullopt;
  const auto function = take_hex(text, 1, 1);
  if (!function || !text.empty() || function->front() < '0' || function->front() > '7') {
    return std::nullopt;
  }
  std::string out = domain + ":" + (bus->size() == 1 ? "0" : "");
  out.append(*bus).append(slot->size() == 1 ? ":0" : ":").append(*slot);
  out.append(".").append(*function);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string_view pci_function_of(std::string_view device) noexcept {
  while (!device.empty() && !is_function_name(name_of(device))) device = parent_of(device);
  return device;
}

// The bus still tells that it belongs to no node: its CPUs are all of them.
bool is_stand_in(const DeviceTree& tree, const std::string& pci_function, int node) {
  const auto driver = tree.link(pci_function + "/driver");
  if (!driver || name_of(*driver) != "nvme") return false;
  const std::string nodes = "sys/devices/system/node/";
  const std::vector<int> with_memory = ids_of(tree, nodes + "has_memory");
  if (with_memory.empty() || with_memory.front() != node) return false;
  if (ids_of(tree, nodes + "has_cpu").size() < 2) return false;
  const std::string_view name = name_of(pci_function);
  const std::string bus(name.substr(0, name.rfind(':')));
  const std::string file = std::string(parent_of(pci_function)) + "/pci_bus/" + bus;
  const std::vector<int> near = ids_of(tree, file + "/cpulistaffinity");
  const std::vector<int> online = ids_of(tree, "sys/devices/system/cpu/online");
  return !online.empty() && std::includes(near.begin(), near.end(), online.begin(), online.end());
}

}  // namespace numapool::platform
