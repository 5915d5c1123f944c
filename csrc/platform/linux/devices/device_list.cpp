// Lists the hardware of a machine: what a program may want its memory near to.
#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "platform/device.hpp"
#include "platform/linux/devices/device_tree.hpp"

namespace numapool::platform {
namespace {

// A machine with 200 PCI devices has a hundred folders to climb from, most of them more than once.
class Lister {
 public:
  explicit Lister(const DeviceTree& tree) : tree_(tree) {}

  void add(std::string kind, std::string name, const std::string& device) {
    const std::string function(pci_function_of(device));
    const std::string& from = function.empty() ? device : function;
    auto known = answers_.find(from);
    if (known == answers_.end()) known = answers_.emplace(from, tree_.node_of(from)).first;
    const NodeAnswer& answer = known->second;
    DeviceRecord record;
    record.kind = std::move(kind);
    record.name = std::move(name);
    record.pci_address = name_of(function);
    record.node_id = answer.node_id;
    record.evidence = answer.evidence;
    record.reason = answer.reason;
    found_.push_back(std::move(record));
  }

  // Whole disks that are hardware. A path of an NVMe multipath head goes by the head's name.
  void add_blocks() {
    const std::string folder = "sys/class/block";
    const std::vector<std::string> names = tree_.names(folder);
    const std::unordered_set<std::string> all(names.begin(), names.end());
    for (const std::string& name : names) {
      const auto device = tree_.link(folder + "/" + name);
      if (!device || is_virtual(*device)) continue;
      if (all.contains(std::string(name_of(parent_of(*device))))) continue;  // a partition
      const bool is_nvme = name.starts_with("nvme");
      const bool is_pmem = name.starts_with("pmem");
      add(is_nvme ? "nvme" : is_pmem ? "pmem" : "block", is_nvme ? head_of(name) : name, *device);
    }
  }

  void add_class(const std::string& folder, const char* kind, std::string_view prefix) {
    for (const std::string& name : tree_.names(folder)) {
      if (!name.starts_with(prefix)) continue;
      if (prefix == "card" && name.find('-') != std::string::npos) continue;  // a GPU's connector
      const auto device = tree_.link(folder + "/" + name);
      if (!device || is_virtual(*device)) continue;
      add(kind, name, *device);
    }
  }

  // GPUs that no driver of the kernel's graphics has taken go by their address.
  void add_functions() {
    std::unordered_set<std::string> named;
    for (const DeviceRecord& one : found_) {
      if (one.kind == "gpu") named.insert(one.pci_address);
    }
    const std::string folder = "sys/bus/pci/devices";
    for (const std::string& address : tree_.names(folder)) {
      const std::string link = folder + "/" + address;
      const auto code = tree_.text(link + "/class");
      if (!code || !(code->starts_with("0x03") || code->starts_with("0x12"))) continue;
      if (named.contains(address)) continue;
      if (const auto device = tree_.real(link)) add("gpu", address, *device);
    }
  }

  std::vector<DeviceRecord> take() {
    const auto key = [](const DeviceRecord& one) {
      return std::tie(one.kind, one.name, one.pci_address);
    };
    std::sort(found_.begin(), found_.end(),
              [&](const DeviceRecord& a, const DeviceRecord& b) { return key(a) < key(b); });
    return std::move(found_);
  }

 private:
  // nvme0c3n1 is a path of nvme0n1.
  static std::string head_of(const std::string& name) {
    const std::size_t c = name.find('c', 4), n = name.rfind('n');
    if (c == std::string::npos || n < c) return name;
    return name.substr(0, c) + name.substr(n);
  }

  const DeviceTree& tree_;
  std::unordered_map<std::string, NodeAnswer> answers_;
  std::vector<DeviceRecord> found_;
};

}  // namespace

Result<std::vector<DeviceRecord>> list_devices(const std::string& root) {
  const Result<DeviceTree> tree = DeviceTree::open(root);
  if (!tree) return tree.failure();
  Lister lister(tree.value());
  lister.add_blocks();
  lister.add_class("sys/class/net", "net", "");
  lister.add_class("sys/class/infiniband", "infiniband", "");
  lister.add_class("sys/class/drm", "gpu", "card");
  lister.add_class("sys/bus/dax/devices", "dax", "");
  lister.add_functions();
  return lister.take();
}

}  // namespace numapool::platform
