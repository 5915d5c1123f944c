// Finds devices in a tree's sysfs: where links lead, PCI functions, and the node of a device.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/files/file_tree.hpp"
#include "platform/result.hpp"

namespace numapool::platform {

// The contents of a device's numa_node files.
struct NodeAnswer {
  std::optional<int> node_id;
  std::string evidence;  // the file that told the node or "unknown"; empty: no such file
  std::string reason;    // why there is no node
};

// Paths are relative to the root, without a leading slash: "sys/class/block/sda".
class DeviceTree {
 public:
  [[nodiscard]] static Result<DeviceTree> open(const std::string& root);

  // The running machine: files can be asked for their device.
  [[nodiscard]] bool live() const noexcept { return live_; }
  // The path as a user can open it.
  [[nodiscard]] std::string shown(const std::string& path) const;

  [[nodiscard]] bool has(const std::string& path) const noexcept;
  // The file's text without surrounding white space; empty optional if the file is missing or
  // empty.
  [[nodiscard]] std::optional<std::string> text(const std::string& path) const;
  // All of the file's text, however long; empty optional if it cannot be read.
  [[nodiscard]] std::optional<std::string> whole_text(const std::string& path) const;
  // Names in a folder, sorted.
  [[nodiscard]] std::vector<std::string> names(const std::string& folder) const;
  // The contents of a symbolic link; empty optional if the path is not a link.
  [[nodiscard]] std::optional<std::string> target(const std::string& path) const;
  // The path that a symbolic link leads to; empty optional if it is not a link, or leads out of the
  // tree.
  [[nodiscard]] std::optional<std::string> link(const std::string& path) const;
  // The path behind the links that `path` ends in ("sys/class/net/eth0"), or `path` itself if it is
  // not a link; empty optional if it does not exist. Links inside a path are not resolved: the
  // kernel's links lead to folders without links above them.
  [[nodiscard]] std::optional<std::string> real(const std::string& path) const;

  // The node of the device in that folder: of its PCI function, or of the nearest folder above it
  // that tells one.
  [[nodiscard]] NodeAnswer node_of(const std::string& device) const;

 private:
  DeviceTree(Folder root, bool live) : root_(std::move(root)), live_(live) {}
  // True where that folder's numa_node settles the answer.
  [[nodiscard]] bool ask(const std::string& folder, NodeAnswer& answer) const;
  [[nodiscard]] NodeAnswer climb(const std::string& device) const;

  Folder root_;
  bool live_;
};

// `target` as seen from `folder`, without "." and ".."; empty optional if it is absolute or leads
// out of the root.
[[nodiscard]] std::optional<std::string> joined(std::string_view folder, std::string_view target);
[[nodiscard]] std::string_view parent_of(std::string_view path) noexcept;
[[nodiscard]] std::string_view name_of(std::string_view path) noexcept;
[[nodiscard]] bool is_virtual(std::string_view device) noexcept;

// The address in full where the text is one ("3b:00.0" is 0000:3b:00.0); nothing otherwise.
[[nodiscard]] std::optional<std::string> pci_address(std::string_view text);
// The folder of the last PCI function on the way down to a device; empty if there is none.
[[nodiscard]] std::string_view pci_function_of(std::string_view device) noexcept;

// True where the NVMe driver put the first node with memory in the place of an unknown one, as it
// did before Linux 6.6.
[[nodiscard]] bool is_stand_in(const DeviceTree& tree, const std::string& pci_function, int node);

}  // namespace numapool::platform
