// The memory limits of this process's cgroup and of every ancestor, cgroup v2 and v1.
#include "platform/linux/cgroup.hpp"

#include <algorithm>
#include <array>

namespace numapool::platform {
namespace {

constexpr std::uint64_t kV1Unlimited = 1ULL << 60;  // v1 says PAGE_COUNTER_MAX, a number near 2^63

template <class Visit>
void for_each_field(std::string_view text, char separator, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool has_word(std::string_view list, std::string_view word) {
  bool found = false;
  for_each_field(list, ',', [&](std::string_view item) { found = found || item == word; });
  return found;
}

struct Mount {
  std::string root;
  std::string point;
};

// The fields of a mountinfo line: id parent dev root point options [optional...] - type source
// super-options.
std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view type,
                                std::string_view super_option) {
  std::optional<Mount> found;
  for_each_field(mountinfo, '\n', [&](std::string_view line) {
    const std::size_t dash = line.find(" - ");
    if (found || dash == std::string_view::npos) return;
    std::vector<std::string_view> head;
    std::vector<std::string_view> tail;
    for_each_field(line.substr(0, dash), ' ',
                   [&](std::string_view field) { head.push_back(field); });
    for_each_field(line.substr(dash + 3), ' ',
                   [&](std::string_view field) { tail.push_back(field); });
    if (head.size() < 5 || tail.size() < 3 || tail[0] != type) return;
    if (!super_option.empty() && !has_word(tail[2], super_option)) return;
    found = Mount{std::string(head[3]), std::string(head[4])};
  });
  return found;
}

// In a container the mount shows only a part of the hierarchy; the path in /proc/self/cgroup may or
// may not start with that part's root.
std::string below(const Mount& mount, std::string_view path) {
  if (mount.root != "/" && path.starts_with(mount.root)) {
    path.remove_prefix(mount.root.size());
    if (!path.empty() && path.front() != '/') return "/";
  }
  if (!path.starts_with('/') || path.find("/..") != std::string_view::npos) return "/";
  return std::string(path);
}

}  // namespace

std::optional<CgroupPlace> find_memory_cgroup(
    std::string_view cgroup_text, std::string_view mountinfo_text,
    bool (*v2_has_memory)(const std::string& mount_point)) {
  std::optional<std::string_view> v1_path;
  std::optional<std::string_view> v2_path;
  // Lines are "hierarchy-id:controllers:path"; v2's is "0::path".
  for_each_field(cgroup_text, '\n', [&](std::string_view line) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', std::min(first + 1, line.size()));
    if (first == std::string_view::npos || second == std::string_view::npos) return;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (line.substr(0, first) == "0" && controllers.empty()) v2_path = line.substr(second + 1);
    if (has_word(controllers, "memory")) v1_path = line.substr(second + 1);
  });
  if (v1_path) {
    if (const auto mount = find_mount(mountinfo_text, "cgroup", "memory")) {
      return CgroupPlace{mount->point, below(*mount, *v1_path), 1};
    }
  }
  if (v2_path) {
    const auto mount = find_mount(mountinfo_text, "cgroup2", {});
    if (mount && v2_has_memory(mount->point))
      return CgroupPlace{mount->point, below(*mount, *v2_path), 2};
  }
  return std::nullopt;
}

CgroupLevel::CgroupLevel(const std::string& folder, int version)
    : folder_(folder),
      version_(version),
      limit_(folder + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes")),
      usage_(folder + (version == 2 ? "/memory.current" : "/memory.usage_in_bytes")),
      stat_(folder + "/memory.stat") {}

std::optional<std::uint64_t> CgroupLevel::headroom_bytes() noexcept {
  const auto limit_text = limit_.read();
  if (!limit_text) return std::nullopt;
  const auto limit = leading_number(*limit_text);
  if (!limit || *limit >= kV1Unlimited) return std::nullopt;
  const auto usage_text = usage_.read();
  const std::uint64_t usage = usage_text ? leading_number(*usage_text).value_or(0) : 0;
  std::uint64_t cache = 0;
  if (const auto stat = stat_.read()) {
    const char* const prefix = version_ == 2 ? "" : "total_";
    for (const char* const key : {"active_file ", "inactive_file "}) {
      cache += number_after(*stat, std::string(prefix) + key).value_or(0);
    }
  }
  const std::uint64_t needed = usage > cache ? usage - cache : 0;
  return *limit > needed ? *limit - needed : 0;
}

std::vector<CgroupLevel> levels_of(const CgroupPlace& place) {
  std::vector<CgroupLevel> levels;
  std::string path = place.path == "/" ? "" : place.path;
  while (true) {
    levels.emplace_back(place.mount_point + path, place.version);
    if (path.empty()) break;
    path.erase(path.rfind('/'));
  }
  return levels;
}

}  // namespace numapool::platform
