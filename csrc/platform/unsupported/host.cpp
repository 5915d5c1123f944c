// A machine of which nothing is known about hypervisor, balloon and free memory.
#include "platform/host.hpp"

namespace numapool::platform {
namespace {

Failure unknown(const char* call, const std::string& detail = {}) {
  return Failure{Cause::kUnsupported, call, 0, detail};
}

}  // namespace

Result<std::vector<Clue>> hypervisor_clues(const std::string& root) {
  return unknown("hypervisor_clues", root);
}

Result<BalloonRecord> read_balloon(const std::string& root) {
  return unknown("read_balloon", root);
}

Result<ReportingOrder> page_reporting_order(const std::string& root) {
  return unknown("page_reporting_order", root);
}

CgroupFolder cgroup_folder(const std::string&, const std::string&) { return {}; }

Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string& root) {
  return unknown("free_bytes_by_order", root);
}

Status compact_memory(const std::string& root) { return unknown("compact_memory", root); }

Result<ResidentBytes> resident_bytes() { return unknown("resident_bytes"); }

bool trim_heap() noexcept { return false; }

}  // namespace numapool::platform
