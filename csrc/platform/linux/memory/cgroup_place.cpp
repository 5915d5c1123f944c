// Which folder is this process's cgroup: /proc/self/cgroup and mountinfo together.
#include "platform/linux/memory/cgroup_place.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "platform/host.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/mountinfo.hpp"

namespace numapool::platform {
namespace {

// Lines are "hierarchy-id:controllers:path"; version 2's is "0::path".
struct OwnPaths {
  std::optional<std::string_view> v1;
  std::optional<std::string_view> v2;
};

OwnPaths own_paths(std::string_view text, std::string_view controller) {
  OwnPaths found;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', std::min(first + 1, line.size()));
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (line.substr(0, first) == "0" && controllers.empty()) found.v2 = path;
    if (!controller.empty() && has_word(controllers, controller, ',')) found.v1 = path;
  }
  return found;
}

// The number of "/.." at the start of a path, by which the kernel marks folders outside the cgroup
// namespace.
std::size_t steps_up(std::string_view path) {
  std::size_t steps = 0;
  while (path == "/.." || path.starts_with("/../")) {
    path.remove_prefix(3);
    ++steps;
  }
  return steps;
}

bool goes_up(std::string_view path) {
  return path.ends_with("/..") || path.find("/../") != std::string_view::npos;
}

// The path of the cgroup below a mount, "/" for its top. Empty optional if the mount's root is not
// above the cgroup.
std::optional<std::string> path_below(std::string_view path, std::string_view root) {
  const auto rest = path.starts_with('/') ? below(path, root) : std::nullopt;
  if (!rest || goes_up(*rest)) return std::nullopt;
  return rest->empty() ? "/" : std::string(*rest);
}

// In a cgroup namespace, an older mount's root is "/.." or "/../..": above the cgroup, but the
// names of the folders on the way are not told.
bool is_somewhere_above(std::string_view path, std::string_view root) {
  const std::size_t up = steps_up(root);
  return up > steps_up(path) && up * 3 == root.size();
}

void search_mounts(const std::vector<Mount>& mounts, std::string_view path, int version,
                   std::string_view controller, CgroupSearch& out) {
  const std::string own = controller.empty() ? "the cgroup" : std::string(controller) + " cgroup";
  const Mount* best = nullptr;
  const Mount* above = nullptr;
  for (const Mount& mount : mounts) {
    if (mount.type != (version == 2 ? "cgroup2" : "cgroup")) continue;
    if (version == 1 && !has_word(mount.options, controller, ',')) continue;
    const Mount* const reached = mount_at(mounts, mount.point);
    if (reached == nullptr || reached->id != mount.id) continue;  // hidden
    if (path_below(path, mount.root)) {
      if (best == nullptr || mount.root.size() <= best->root.size()) best = &mount;
    } else if (is_somewhere_above(path, mount.root)) {
      if (above == nullptr || mount.root.size() <= above->root.size()) above = &mount;
    }
  }
  if (best != nullptr) {
    out.place = CgroupPlace{best->point, *path_below(path, best->root), version};
  } else if (above != nullptr) {
    out.place = CgroupPlace{above->point, "/", version};
    out.unknown = own + " " + std::string(path) + ": " + above->point +
                  " is a cgroup above it, and those in between are not known";
  } else {
    out.unknown = own + " " + std::string(path) + ": no mount of a cgroup file system shows it";
  }
}

}  // namespace

CgroupSearch find_cgroup(std::string_view cgroup_text, std::string_view mountinfo_text,
                         std::string_view controller, const HasController& v2_has) {
  const OwnPaths paths = own_paths(cgroup_text, controller);
  CgroupSearch out;  // in place: GCC 12 takes a moved optional for an uninitialized one
  if (!paths.v1 && !paths.v2) return out;
  const std::vector<Mount> mounts = mounts_in(mountinfo_text);
  search_mounts(mounts, paths.v1 ? *paths.v1 : *paths.v2, paths.v1 ? 1 : 2, controller, out);
  if (paths.v1 || !out.place || controller.empty()) return out;
  const Has has = v2_has(out.place->mount_point);
  if (has == Has::kYes) return out;
  out.failed = has == Has::kUnknown;
  out.unknown =
      out.failed ? out.place->mount_point + "/cgroup.controllers cannot be read" : std::string();
  out.place.reset();
  return out;
}

CgroupSearch find_cgroup(const std::string& root, std::string_view controller) {
  CgroupSearch out;
  const auto failed = [&out](const std::string& path) {
    out.unknown = path + ": " + std::strerror(errno);
    out.failed = true;
    return out;
  };
  const auto cgroup_text = whole_text(root + "/proc/self/cgroup");
  if (!cgroup_text) {
    // A kernel without cgroups has no such file, and a system without /proc shows none.
    if (errno == ENOENT && access((root + "/proc/self").c_str(), F_OK) == 0) return out;
    return failed("/proc/self/cgroup");
  }
  const auto mountinfo = whole_text(root + "/proc/self/mountinfo");
  if (!mountinfo) return failed("/proc/self/mountinfo");
  return find_cgroup(*cgroup_text, *mountinfo, controller, [&](const std::string& mount_point) {
    const auto text = whole_text(root + mount_point + "/cgroup.controllers");
    if (!text) return errno == ENOENT ? Has::kNo : Has::kUnknown;
    const std::string_view words(text->data(), text->find_last_not_of("\n ") + 1);
    return has_word(words, controller, ' ') ? Has::kYes : Has::kNo;
  });
}

CgroupFolder cgroup_folder(const std::string& root, const std::string& controller) {
  const CgroupSearch found = find_cgroup(root == "/" ? std::string{} : root, controller);
  CgroupFolder out;
  out.unknown = found.unknown;
  if (!found.place) return out;
  out.version = found.place->version;
  out.folder = found.place->folder();
  out.top = found.place->mount_point;
  return out;
}

}  // namespace numapool::platform
