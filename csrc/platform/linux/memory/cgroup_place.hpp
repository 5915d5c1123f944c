// Which folder is this process's cgroup: /proc/self/cgroup and mountinfo together (cgroups(7)).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace numapool::platform {

// Where a controller has this process: the mount point, the path below it, and the version.
struct CgroupPlace {
  std::string mount_point;
  std::string path;  // starts with '/', "/" at the mount point
  int version = 0;   // 2 or 1
  bool operator==(const CgroupPlace&) const = default;

  [[nodiscard]] std::string folder() const { return mount_point + (path == "/" ? "" : path); }
};

// The result of a search. Without a place and without `unknown`, no cgroup limits this process with
// this controller.
struct CgroupSearch {
  std::optional<CgroupPlace> place;
  // Why the place is not known. With a place: it is a cgroup above this process's own, and those in
  // between are not shown.
  std::string unknown;
  bool failed = false;  // a file could not be read: the next search may find more
};

enum class Has { kYes, kNo, kUnknown };
// Whether the hierarchy of version 2 that is mounted there has the controller.
using HasController = std::function<Has(const std::string& mount_point)>;

// From the texts of /proc/self/cgroup and /proc/self/mountinfo. The mount must be one that a path
// reaches, not one that a later mount hides, and its root must be above the cgroup. Of several, the
// one that shows the most levels. A controller that the process has in version 1 is looked for
// there alone; "" means version 2 with whatever controllers.
[[nodiscard]] CgroupSearch find_cgroup(std::string_view cgroup_text,
                                       std::string_view mountinfo_text, std::string_view controller,
                                       const HasController& v2_has);

// The same for the files below `root` ("" for the running machine). The place's mount point does
// not start with `root`.
[[nodiscard]] CgroupSearch find_cgroup(const std::string& root, std::string_view controller);

}  // namespace numapool::platform
