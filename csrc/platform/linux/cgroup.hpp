// The memory limits of this process's cgroup and of every ancestor, cgroup v2 and v1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/kept_file.hpp"

namespace numapool::platform {

// Where the memory controller of this process is: the mount point, the path below it, and its
// version.
struct CgroupPlace {
  std::string mount_point;
  std::string path;  // starts with '/', "/" at the root
  int version = 0;   // 2 or 1
  bool operator==(const CgroupPlace&) const = default;
};

// From the texts of /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc(5)). A hybrid
// machine has both versions; the one whose hierarchy carries the memory controller is meant.
// Nothing where there is none.
[[nodiscard]] std::optional<CgroupPlace> find_memory_cgroup(
    std::string_view cgroup_text, std::string_view mountinfo_text,
    bool (*v2_has_memory)(const std::string& mount_point));

// One level of the hierarchy. What may still be charged to it: its limit less what is charged, file
// cache not counted, since the kernel reclaims that before it kills.
class CgroupLevel {
 public:
  CgroupLevel(const std::string& folder, int version);
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] std::optional<std::uint64_t> headroom_bytes() noexcept;  // nothing: no limit here

 private:
  std::string folder_;
  int version_;
  KeptFile limit_;
  KeptFile usage_;
  KeptFile stat_;
};

// The levels from the process's own cgroup up to the mount point. The root of v2 has no limit
// files.
[[nodiscard]] std::vector<CgroupLevel> levels_of(const CgroupPlace& place);

}  // namespace numapool::platform
