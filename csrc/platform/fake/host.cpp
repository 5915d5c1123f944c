// The scripted machine's hypervisor, balloon and free memory: what a test says they are.
#include "platform/host.hpp"

#include "platform/fake/host_script.hpp"

namespace numapool::platform {
namespace fake {

HostScript& host_script() {
  static HostScript script;
  return script;
}

void reset_host() { host_script() = HostScript{}; }

}  // namespace fake

Result<std::vector<Clue>> hypervisor_clues(const std::string&) { return fake::host_script().clues; }

Result<BalloonRecord> read_balloon(const std::string&) { return fake::host_script().balloon; }

Result<ReportingOrder> page_reporting_order(const std::string&) {
  return fake::host_script().order;
}

CgroupFolder cgroup_folder(const std::string&, const std::string&) { return {}; }

Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string&) {
  return fake::host_script().free_bytes;
}

Status compact_memory(const std::string&) {
  ++fake::host_script().compactions;
  return fake::host_script().compaction;
}

Result<ResidentBytes> resident_bytes() { return fake::host_script().resident; }

bool trim_heap() noexcept {
  ++fake::host_script().heap_trims;
  return fake::host_script().has_heap_call;
}

}  // namespace numapool::platform
