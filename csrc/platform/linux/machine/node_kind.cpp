// Finds the kind of memory of each node. No file tells it directly: it follows from the driver that
// added the memory.
//
// A driver that adds a device's memory names it in /proc/iomem ("System RAM (NVIDIA)") and has it
// put into ZONE_MOVABLE. So do the kernel's own drivers for memory that all programs may use: kmem
// (CXL, persistent memory) and virtio_mem, which are known by these names. The file does not tell
// which node the memory belongs to, but nodes of kmem have a dax device that does.
#include "platform/linux/machine/node_kind.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>

#include "platform/linux/files/id_list.hpp"
#include "platform/linux/machine/node_folder.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kGpus = "proc/driver/nvidia/gpus";
constexpr const char* kDaxDevices = "sys/bus/dax/devices";
constexpr const char* kMap = "proc/iomem";
constexpr const char* kGpusUnknown = "memory of GPUs may count as the machine's";
constexpr const char* kDaxUnknown = "what nodes are made of is unknown";
// Memory in a processor's package has several times the bandwidth of DIMMs.
constexpr std::uint64_t kFasterNumerator = 3;
constexpr std::uint64_t kFasterDenominator = 2;

bool is_listed(const std::optional<std::vector<int>>& ids, int id) {
  return ids && std::binary_search(ids->begin(), ids->end(), id);
}

// "Node: 2" in the numa_status of a GPU (the NVIDIA driver, where its memory is a node).
std::map<int, std::string> nodes_of_gpus(const Folder& root, Notes& notes) {
  std::map<int, std::string> found;
  const Folder gpus = root.folder(kGpus);
  if (!gpus.ok()) notes.add_unreadable(root, kGpus, errno, kGpusUnknown);
  for (const std::string& name : gpus.names()) {
    const std::string file = name + "/numa_status";
    const auto text = gpus.read(file.c_str());
    if (!text) notes.add_unreadable(gpus, file.c_str(), errno, kGpusUnknown);
    constexpr std::string_view kKey = "Node:";
    const std::size_t at = text ? text->find(kKey) : std::string_view::npos;
    if (at == std::string_view::npos) continue;
    const std::string_view value = text->substr(at + kKey.size());
    const auto ids = parse_id_list(value.substr(0, value.find('\n')), kLargestNodeId);
    if (ids && ids->size() == 1) found.emplace(ids->front(), "/" + std::string(kGpus) + "/" + file);
  }
  return found;
}

struct DaxDevice {
  MemoryKind kind = MemoryKind::kUnknown;
  std::string evidence;
};

// A dax device's folder is below the region that it was made from.
std::map<int, DaxDevice> nodes_of_dax(const Folder& root, Notes& notes) {
  std::map<int, DaxDevice> found;
  const Folder devices = root.folder(kDaxDevices);
  if (!devices.ok()) notes.add_unreadable(root, kDaxDevices, errno, kDaxUnknown);
  for (const std::string& name : devices.names()) {
    const std::string file = name + "/target_node";
    const auto text = devices.read(file.c_str());
    if (!text) notes.add_unreadable(devices, file.c_str(), errno, kDaxUnknown);
    const auto nodes = text ? parse_id_list(*text, kLargestNodeId) : std::nullopt;  // or "-1"
    if (!nodes || nodes->size() != 1) continue;
    const std::string place = devices.link(name.c_str()).value_or("");
    DaxDevice device;
    device.evidence = "/" + std::string(kDaxDevices) + "/" + name + " makes it up";
    if (place.find("/ndbus") != std::string::npos) {
      device.kind = MemoryKind::kPmem;
      device.evidence += " from persistent memory";
    } else if (place.find("/dax_region") != std::string::npos ||
               place.find("/ACPI0017") != std::string::npos) {
      device.kind = MemoryKind::kCxl;
      device.evidence += " from a CXL region";
    }
    found.emplace(nodes->front(), std::move(device));
  }
  return found;
}

// The name of a driver, other than the kernel's own, that added memory; nothing if there is no such
// driver. Everybody may read the names; only root may read the addresses.
std::optional<std::string> foreign_memory(const Folder& root, Notes& notes) {
  const auto map = root.read_whole(kMap);
  if (!map) {
    notes.add_unreadable(root, kMap, errno, "memory of devices may count as the machine's");
    return std::nullopt;
  }
  constexpr std::string_view kKey = "System RAM (";
  const std::string_view text = *map;
  for (std::size_t at = text.find(kKey); at != std::string_view::npos;
       at = text.find(kKey, at + 1)) {
    const std::string_view rest = text.substr(at + kKey.size());
    const std::string_view driver = rest.substr(0, rest.find_first_of(")\n"));
    if (driver != "kmem" && driver != "virtio_mem") return std::string(driver);
  }
  return std::nullopt;
}

class KindReader {
 public:
  KindReader(const Folder& root, const Folder& nodes, const TopologyRecord& record, Notes& notes)
      : root_(root),
        notes_(notes),
        with_cpus_(nodes_listed_in(nodes, "has_cpu")),
        with_memory_(nodes_listed_in(nodes, "has_memory")),
        normal_(nodes_listed_in(nodes, "has_normal_memory")) {
    for (const NodeRecord& node : record.nodes) {
      if (!node.cpus.empty())
        usual_bandwidth_ = std::max(usual_bandwidth_, node.read_bandwidth_bytes_s.value_or(0));
    }
  }

  void read(NodeRecord& node) {
    node.movable_only =
        is_listed(with_memory_, node.node_id) && normal_ && !is_listed(normal_, node.node_id);
    const auto is = [&](MemoryKind kind, std::string evidence) {
      node.kind = kind;
      node.kind_evidence = std::move(evidence);
    };
    if (node.total_memory_bytes == 0) return is(MemoryKind::kUnknown, "the node has no memory");
    // Memory that a driver adds never comes with CPUs, whatever a file says.
    if (has_cpus(node)) return is(MemoryKind::kDram, "the node has CPUs");
    if (!gpus_) gpus_ = nodes_of_gpus(root_, notes_);
    if (const auto gpu = gpus_->find(node.node_id); gpu != gpus_->end())
      return is(MemoryKind::kDevice, gpu->second + " names the node");
    if (!dax_) dax_ = nodes_of_dax(root_, notes_);
    const auto dax = dax_->find(node.node_id);
    const bool from_dax = dax != dax_->end();
    if (node.movable_only && !from_dax) {
      if (!foreign_) foreign_ = foreign_memory(root_, notes_);
      if (const auto& driver = *foreign_) {
        return is(MemoryKind::kDevice,
                  "no CPUs, all memory movable, no dax device, and /proc/iomem has \"System RAM (" +
                      *driver + ")\"");
      }
    }
    if (is_much_faster(node)) {
      return is(MemoryKind::kHbm,
                "no CPUs, and the firmware (HMAT) gives it more bandwidth than nodes with CPUs");
    }
    if (from_dax) return is(dax->second.kind, dax->second.evidence);
    is(MemoryKind::kUnknown,
       node.movable_only
           ? "no CPUs, and all memory movable: it was added to the machine (CXL, DIMM, virtio-mem)"
           : "no CPUs, and nothing says what the memory is");
  }

 private:
  // Which CPUs they are may be unknown.
  [[nodiscard]] bool has_cpus(const NodeRecord& node) const {
    return !node.cpus.empty() || is_listed(with_cpus_, node.node_id);
  }
  [[nodiscard]] bool is_much_faster(const NodeRecord& node) const {
    const std::uint64_t own = node.read_bandwidth_bytes_s.value_or(0);
    return usual_bandwidth_ != 0 && own / kFasterNumerator >= usual_bandwidth_ / kFasterDenominator;
  }

  const Folder& root_;
  Notes& notes_;
  std::optional<std::vector<int>> with_cpus_;
  std::optional<std::vector<int>> with_memory_;
  std::optional<std::vector<int>> normal_;
  std::uint64_t usual_bandwidth_ = 0;  // the most that a node with CPUs has
  // Read when a node without CPUs is met.
  std::optional<std::map<int, std::string>> gpus_;
  std::optional<std::map<int, DaxDevice>> dax_;
  std::optional<std::optional<std::string>> foreign_;
};

}  // namespace

void read_kinds(const Folder& root, const Folder& nodes, TopologyRecord& record, Notes& notes) {
  KindReader reader(root, nodes, record, notes);
  for (NodeRecord& node : record.nodes) reader.read(node);
}

}  // namespace numapool::platform
