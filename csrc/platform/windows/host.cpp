// The layer below a Windows guest: names from SMBIOS, the balloon's driver. Also this process's
// memory.
#include "platform/host.hpp"

#include <string_view>

#include "platform/windows/api.hpp"
#include "platform/windows/devnodes.hpp"
#include "platform/windows/firmware.hpp"

namespace numapool::platform {
namespace {

using windows::api;
using windows::no_such;

constexpr const char* kSmbios = "GetSystemFirmwareTable(RSMB)";

struct BalloonId {
  std::string_view id;  // how a hardware id begins
  const char* driver;
};
// Hyper-V: the dynamic memory service's class (Hyper-V's list of VMBus GUIDs). virtio: legacy and
// modern balloon (VIRTIO 1.3, 4.1.2). VMware's has no device of its own.
constexpr BalloonId kBalloons[] = {
    {"VMBUS\\{525074DC-8985-46E2-8057-A307DC18A502}", "hyperv"},
    {"PCI\\VEN_1AF4&DEV_1002", "virtio"},
    {"PCI\\VEN_1AF4&DEV_1045", "virtio"},
};

Failure other_root(const char* job, const std::string& root) {
  return no_such(job, root + ": other roots hold Linux's files");
}

}  // namespace

Result<std::vector<Clue>> hypervisor_clues(const std::string& root) {
  if (root != "/") return other_root("hypervisor_clues", root);
  const windows::MachineNames names = windows::machine_names();
  std::vector<Clue> out;
  if (!names.product.empty()) out.push_back({ClueKind::kProduct, kSmbios, names.product});
  for (const std::string& vendor : names.vendors)
    out.push_back({ClueKind::kVendor, kSmbios, vendor});
  return out;
}

// The device proves that there is a balloon; Windows does not tell its size.
Result<BalloonRecord> read_balloon(const std::string& root) {
  if (root != "/") return other_root("read_balloon", root);
  BalloonRecord record;
  windows::DeviceSet present = windows::DeviceSet::all_present();
  if (!present.ok())
    return windows::failed("SetupDiGetClassDevs", ::GetLastError(), "all present devices");
  for (windows::Devnode& device : present.devices()) {
    for (const std::string& id : present.hardware_ids(device)) {
      for (const BalloonId& balloon : kBalloons) {
        if (!windows::starts_with_ignoring_case(id, balloon.id)) continue;
        record.driver = balloon.driver;
        record.at_work = !present.service(device).empty();
        record.place = present.instance_id(device);
        return record;
      }
    }
  }
  return record;
}

Result<ReportingOrder> page_reporting_order(const std::string&) {
  return no_such("page_reporting_order", "Windows does not tell what it reports to a host");
}

CgroupFolder cgroup_folder(const std::string&, const std::string&) { return {}; }

Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string&) {
  return no_such("free_bytes_by_order", "Windows does not tell in which blocks memory is free");
}

Status compact_memory(const std::string&) {
  return no_such("compact_memory", "Windows compacts memory by itself, not when asked to");
}

Result<ResidentBytes> resident_bytes() {
  PROCESS_MEMORY_COUNTERS counters{};
  counters.cb = sizeof counters;
  if (api().GetProcessMemoryInfo(::GetCurrentProcess(), &counters, sizeof counters) == FALSE)
    return windows::failed("GetProcessMemoryInfo", ::GetLastError());
  return ResidentBytes{counters.WorkingSetSize, counters.PeakWorkingSetSize};
}

// The process's heap is the C runtime's too. The working set is left alone: live buffers are in it.
bool trim_heap() noexcept {
  api().HeapCompact(::GetProcessHeap(), 0);  // its value is the largest free block, 0 for none too
  return true;
}

}  // namespace numapool::platform
