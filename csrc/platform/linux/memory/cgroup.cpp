// The memory limits of this process's cgroup and of every ancestor, cgroup v2 and v1.
#include "platform/linux/memory/cgroup.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace numapool::platform {
namespace {

constexpr std::uint64_t kV1Unlimited = 1ULL << 60;  // v1 says PAGE_COUNTER_MAX, a number near 2^63

struct LimitRead {
  std::optional<std::uint64_t> bytes;  // nothing: no limit, or unreadable
  std::string unreadable;
};

// A cgroup whose controller is off, and the root, have no such file: no limit. Any other failure
// says nothing about the limit.
LimitRead limit_in(KeptFile& file, const std::string& folder) {
  const auto text = file.read();
  if (!text) {
    const int code = file.error();
    if (code == ENOENT && access(folder.c_str(), F_OK) == 0) return {};
    return {{}, file.path() + ": " + std::strerror(code)};
  }
  const auto limit = leading_number(*text);
  if (!limit && !text->starts_with("max"))
    return {{}, file.path() + ": it is neither a number nor max"};
  if (!limit || *limit >= kV1Unlimited) return {};
  return {limit, {}};
}

std::uint64_t number_in(KeptFile& file) noexcept {
  const auto text = file.read();
  return text ? leading_number(*text).value_or(0) : 0;
}

}  // namespace

CgroupLevel::CgroupLevel(std::string folder, int version, const std::string& root)
    : folder_(std::move(folder)),
      real_folder_(root + folder_),
      version_(version),
      max_(real_folder_ + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes")),
      high_(real_folder_ + "/memory.high"),
      usage_(real_folder_ + (version == 2 ? "/memory.current" : "/memory.usage_in_bytes")),
      stat_(real_folder_ + "/memory.stat") {}

CgroupUse CgroupLevel::look() {
  CgroupUse use;
  LimitRead limit = limit_in(max_, real_folder_);
  use.max_bytes = limit.bytes;
  use.unreadable = std::move(limit.unreadable);
  if (version_ == 2) {
    limit = limit_in(high_, real_folder_);
    use.high_bytes = limit.bytes;
    if (use.unreadable.empty()) use.unreadable = std::move(limit.unreadable);
  }
  if (!use.max_bytes && !use.high_bytes) return use;
  const auto usage = usage_.read();
  const auto charged = usage ? leading_number(*usage) : std::nullopt;
  if (!charged) {
    use.unreadable = usage_.path() + ": " + std::strerror(usage_.error());
    return use;
  }
  use.charged_known = true;
  use.charged_bytes = *charged;
  if (const auto stat = stat_.read()) {
    const bool v2 = version_ == 2;
    const auto number = [&](const char* key) { return number_after(*stat, key).value_or(0); };
    // In version 1, total_* includes the cgroups below.
    use.file_cache_bytes = v2 ? number("active_file ") + number("inactive_file ")
                              : number("total_active_file ") + number("total_inactive_file ");
    use.unclean_bytes = v2 ? number("file_dirty ") + number("file_writeback ")
                           : number("total_dirty ") + number("total_writeback ");
  }
  return use;
}

std::optional<std::uint64_t> CgroupLevel::swap_room_bytes() noexcept {
  if (version_ != 2) return std::nullopt;
  KeptFile max(real_folder_ + "/memory.swap.max");
  const auto text = max.read();
  const auto limit = text ? leading_number(*text) : std::nullopt;
  if (!limit) return std::nullopt;
  KeptFile usage(real_folder_ + "/memory.swap.current");
  const std::uint64_t used = number_in(usage);
  return *limit > used ? *limit - used : 0;
}

std::string hugetlb_size_name(std::size_t page_bytes) {
  if (page_bytes >= std::size_t{1} << 30) return std::to_string(page_bytes >> 30) + "GB";
  if (page_bytes >= std::size_t{1} << 20) return std::to_string(page_bytes >> 20) + "MB";
  return std::to_string(page_bytes >> 10) + "KB";
}

HugetlbLevel::HugetlbLevel(std::string folder, int version, std::size_t page_bytes,
                           const std::string& root)
    : folder_(std::move(folder)),
      real_folder_(root + folder_),
      max_(""),
      usage_(""),
      reserved_max_(""),
      reserved_usage_("") {
  const std::string start = real_folder_ + "/hugetlb." + hugetlb_size_name(page_bytes) + ".";
  const char* const limit = version == 2 ? "max" : "limit_in_bytes";
  const char* const usage = version == 2 ? "current" : "usage_in_bytes";
  max_ = KeptFile(start + limit);
  usage_ = KeptFile(start + usage);
  reserved_max_ = KeptFile(start + "rsvd." + limit);
  reserved_usage_ = KeptFile(start + "rsvd." + usage);
}

// Pages that are mapped and not touched yet are promised already: they count under `rsvd` alone,
// and meet the limit on pages in use when they are touched, by a SIGBUS.
HugetlbLevel::Room HugetlbLevel::look() {
  Room room;
  const LimitRead in_use = limit_in(max_, real_folder_);
  const LimitRead reserved = limit_in(reserved_max_, real_folder_);
  room.unreadable = in_use.unreadable.empty() ? reserved.unreadable : in_use.unreadable;
  if (!in_use.bytes && !reserved.bytes) return room;
  const std::uint64_t promised = number_in(reserved_usage_);
  const std::uint64_t used = std::max(promised, number_in(usage_));
  const auto consider = [&](const LimitRead& limit, std::uint64_t taken, const KeptFile& file) {
    if (!limit.bytes) return;
    const std::uint64_t left = *limit.bytes > taken ? *limit.bytes - taken : 0;
    if (room.bytes && *room.bytes <= left) return;
    room.bytes = left;
    room.limit_file = file.path().substr(file.path().rfind('/') + 1);
  };
  consider(in_use, used, max_);
  consider(reserved, promised, reserved_max_);
  return room;
}

std::vector<std::string> folders_of(const CgroupPlace& place) {
  std::vector<std::string> folders;
  std::string path = place.path == "/" ? "" : place.path;
  while (true) {
    folders.push_back(place.mount_point + path);
    if (path.empty()) break;
    path.erase(path.rfind('/'));
  }
  return folders;
}

std::vector<CgroupLevel> levels_of(const CgroupPlace& place, const std::string& root) {
  std::vector<CgroupLevel> levels;
  for (std::string& folder : folders_of(place))
    levels.emplace_back(std::move(folder), place.version, root);
  return levels;
}

}  // namespace numapool::platform
