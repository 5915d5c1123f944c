// Finds devices in a tree's sysfs: where links lead, and the node of a device.
#include "platform/linux/devices/device_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

constexpr std::string_view kDevices = "sys/devices";
constexpr int kMostLinks = 8;  // one after another; the kernel's lead to a folder at once

std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) out += c >= ' ' && c < 127 ? c : '?';
  return out + (text.size() > kLongest ? "...'" : "'");
}

}  // namespace

std::optional<std::string> joined(std::string_view folder, std::string_view target) {
  if (target.empty() || target.starts_with('/')) return std::nullopt;
  std::string out(folder);
  while (!target.empty()) {
    const std::size_t length = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, length);
    target.remove_prefix(std::min(length + 1, target.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      if (!out.empty()) out += '/';
      out += part;
    } else if (out.empty()) {
      return std::nullopt;
    } else {
      out.resize(parent_of(out).size());
    }
  }
  return out;
}

std::string_view parent_of(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

bool is_virtual(std::string_view device) noexcept {
  return device.starts_with("sys/devices/virtual/");
}

Result<DeviceTree> DeviceTree::open(const std::string& root) {
  Folder folder = Folder::open(root);
  if (!folder.ok()) return failed("open", errno, root);
  return DeviceTree(std::move(folder), root == "/");
}

std::string DeviceTree::shown(const std::string& path) const { return root_.path_to(path.c_str()); }

bool DeviceTree::has(const std::string& path) const noexcept { return root_.has(path.c_str()); }

std::optional<std::string> DeviceTree::text(const std::string& path) const {
  const auto whole = root_.read(path.c_str());
  const std::string_view text = whole ? trimmed(*whole) : std::string_view{};
  if (text.empty()) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> DeviceTree::whole_text(const std::string& path) const {
  return root_.read_whole(path.c_str());
}

std::vector<std::string> DeviceTree::names(const std::string& path) const {
  const Folder folder = root_.folder(path.c_str());
  if (!folder.ok()) return {};
  std::vector<std::string> names = folder.names();
  std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> DeviceTree::target(const std::string& path) const {
  return root_.link(path.c_str());
}

std::optional<std::string> DeviceTree::link(const std::string& path) const {
  const auto to = target(path);
  return to ? joined(parent_of(path), *to) : std::nullopt;
}

std::optional<std::string> DeviceTree::real(const std::string& path) const {
  std::string at = path;
  for (int links = 0; links < kMostLinks; ++links) {
    const auto target = root_.link(at.c_str());
    if (!target) return has(at) ? std::optional(std::move(at)) : std::nullopt;
    auto next = joined(parent_of(at), *target);
    if (!next) return std::nullopt;
    at = *std::move(next);
  }
  return std::nullopt;
}

// Reads the node from `file`, if it has one. A text that is not a node ends the search, as a guess
// would be worse.
bool DeviceTree::ask(const std::string& folder, NodeAnswer& answer) const {
  const std::string file = folder + "/numa_node";
  const auto told = text(file);
  if (!told) return false;
  int node = 0;
  const auto [end, error] = std::from_chars(told->data(), told->data() + told->size(), node);
  const bool is_id = error == std::errc{} && end == told->data() + told->size() && node >= -1 &&
                     node <= kLargestNodeId;
  if (is_id && node == -1) {
    if (answer.evidence.empty()) answer.evidence = shown(file);
    return false;  // a folder above may know
  }
  answer.evidence = shown(file);
  if (!is_id) {
    answer.reason = answer.evidence + " says " + quoted(*told) + ", which is not a node";
  } else if (is_stand_in(*this, folder, node)) {
    answer.reason = answer.evidence + " says " + *told +
                    ", which the nvme driver fills in where the firmware tells no node";
  } else {
    answer.node_id = node;
  }
  return true;
}

// A driver below the PCI function may show a numa_node of its own (nvme does), which is the same or
// a stand-in for none.
NodeAnswer DeviceTree::climb(const std::string& device) const {
  NodeAnswer answer;
  const std::string_view function = pci_function_of(device);
  std::string at(function.empty() ? std::string_view(device) : function);
  while (at.size() > kDevices.size()) {
    if (ask(at, answer)) return answer;
    if (!at.starts_with(kDevices)) break;
    at.resize(parent_of(at).size());
  }
  answer.reason = answer.evidence.empty()
                      ? "neither " + shown(device) + " nor a folder above it has a numa_node file"
                      : answer.evidence + " says -1: the firmware tells no node";
  return answer;
}

NodeAnswer DeviceTree::node_of(const std::string& device) const {
  NodeAnswer answer = climb(device);
  if (!answer.evidence.empty()) return answer;
  // For devices that are linked elsewhere than below their hardware, or copied without links.
  const auto hardware = real(device + "/device");
  if (!hardware || device.starts_with(*hardware)) return answer;
  NodeAnswer found = climb(*hardware);
  return found.evidence.empty() ? answer : found;
}

}  // namespace numapool::platform
