// How much each node can give before the kernel starts to reclaim there: /proc/zoneinfo and the
// nodes' meminfo.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/files/kept_file.hpp"
#include "platform/pressure.hpp"

namespace numapool::platform {

// Pages that the kernel keeps for itself on each node, from the text of /proc/zoneinfo: over its
// zones, the high watermark and the largest protection, as far as the zone has pages. This is how
// the kernel counts its own reserve (calculate_totalreserve_pages in mm/page_alloc.c).
[[nodiscard]] std::map<int, std::uint64_t> parse_reserves(std::string_view zoneinfo);
// The same of a file, which is read piece by piece: with thousands of CPUs it is megabytes long.
[[nodiscard]] std::map<int, std::uint64_t> read_reserves(const std::string& path);

// Not thread-safe.
class NodeSupplies {
 public:
  explicit NodeSupplies(std::string root = "/");
  // Nodes with memory, ascending; free memory above the reserve, and clean file pages.
  [[nodiscard]] std::vector<NodeSupply> look(std::uint64_t now_ns);

 private:
  void find_nodes();
  std::string root_;
  KeptFile machine_;
  std::map<int, std::uint64_t> reserve_bytes_;
  std::map<int, KeptFile> meminfo_;
  std::uint64_t found_ns_ = 0;
  std::uint64_t find_after_ns_ = 0;
};

}  // namespace numapool::platform
