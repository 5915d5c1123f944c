// The memory limits of this process's cgroup and of every ancestor, cgroup v2 and v1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/memory/cgroup_place.hpp"

namespace numapool::platform {

// The current figures of one level of the hierarchy. This is the only reader of these files:
// refusals, pressure and what users see all use it.
struct CgroupUse {
  std::optional<std::uint64_t> max_bytes;   // nothing: no limit
  std::optional<std::uint64_t> high_bytes;  // version 2: the kernel slows down what passes it
  bool charged_known = false;
  std::uint64_t charged_bytes = 0;
  std::uint64_t file_cache_bytes = 0;  // charged, and given back before anybody is killed
  std::uint64_t unclean_bytes = 0;     // of the file cache: must be written first
  std::string unreadable;              // a file that should tell a limit and cannot be read, why

  // Charged, less what the file cache can give back.
  [[nodiscard]] std::uint64_t needed_bytes() const noexcept {
    return charged_bytes > file_cache_bytes ? charged_bytes - file_cache_bytes : 0;
  }
};

class CgroupLevel {
 public:
  // `root` is what the files' paths start with and folder() does not.
  CgroupLevel(std::string folder, int version, const std::string& root = {});
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] int version() const noexcept { return version_; }
  // The usage is looked at where there is a limit, and left at 0 elsewhere.
  [[nodiscard]] CgroupUse look();
  // How much of this cgroup can still be swapped out; empty: limited only by the machine.
  [[nodiscard]] std::optional<std::uint64_t> swap_room_bytes() noexcept;

 private:
  std::string folder_;
  std::string real_folder_;
  int version_;
  KeptFile max_;
  KeptFile high_;
  KeptFile usage_;
  KeptFile stat_;
};

// The figures of one level for huge pages of one size: the limit on pages in use, and the limit on
// pages that are mapped or reserved (rsvd, Linux 5.7).
class HugetlbLevel {
 public:
  HugetlbLevel(std::string folder, int version, std::size_t page_bytes,
               const std::string& root = {});
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  // The file whose limit is nearest, and the room below it; `bytes` nothing: no limit.
  struct Room {
    std::optional<std::uint64_t> bytes;
    std::string limit_file;
    std::string unreadable;
  };
  [[nodiscard]] Room look();

 private:
  std::string folder_;
  std::string real_folder_;
  KeptFile max_;
  KeptFile usage_;
  KeptFile reserved_max_;
  KeptFile reserved_usage_;
};

// "2MB", "1GB", "64KB": how the files of the hugetlb controller name a page size.
[[nodiscard]] std::string hugetlb_size_name(std::size_t page_bytes);

// The folders from the process's own cgroup up to the mount point.
[[nodiscard]] std::vector<std::string> folders_of(const CgroupPlace& place);
// The same with their memory limits. The root of v2 has no limit files.
[[nodiscard]] std::vector<CgroupLevel> levels_of(const CgroupPlace& place,
                                                 const std::string& root = {});

}  // namespace numapool::platform
