// The zones of /proc/zoneinfo: free pages, watermarks and what lower zones keep for themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace numapool::platform {

// In pages. `protection` is the largest: for requests that would rather have a higher zone.
struct Zone {
  std::uint64_t free = 0;
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t managed = 0;
  std::uint64_t protection = 0;
};

using TakeZone = std::function<void(int node, const Zone&)>;

// Calls `take` for each zone in the order of the text, with the node that it belongs to.
void for_each_zone(std::string_view zoneinfo, const TakeZone& take);
// The same of a file, which is read piece by piece: with thousands of CPUs it is megabytes long.
// Returns 0, or the errno at which reading ended early.
[[nodiscard]] int for_each_zone_in(const std::string& path, const TakeZone& take);

}  // namespace numapool::platform
