// The part of a node's free memory that ordinary requests may take, by /proc/zoneinfo.
#include "platform/linux/memory/spare_memory.hpp"

#include <algorithm>
#include <functional>

#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/zoneinfo.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {

namespace {

// Adds up what the zones of one node can spare.
struct Spare {
  int node;
  std::optional<std::uint64_t> pages;
  void operator()(int of, const Zone& zone) {
    if (of != node) return;
    const std::uint64_t kept = std::min(zone.low + zone.protection, zone.managed);
    pages = pages.value_or(0) + (zone.free > kept ? zone.free - kept : 0);
  }
};

constexpr const char* kZoneinfo = "/proc/zoneinfo";

}  // namespace

std::optional<std::uint64_t> parse_spare_pages(std::string_view zoneinfo, int node) {
  Spare spare{node, {}};
  for_each_zone(zoneinfo, std::ref(spare));
  return spare.pages;
}

Result<std::uint64_t> spare_bytes(int node) {
  Spare spare{node, {}};
  if (const int error = for_each_zone_in(kZoneinfo, std::ref(spare)); error != 0)
    return failed("read", error, kZoneinfo);
  if (!spare.pages)
    return failed("read", ENOENT, "node " + std::to_string(node) + " in " + kZoneinfo);
  return *spare.pages * base_page_bytes();
}

}  // namespace numapool::platform
