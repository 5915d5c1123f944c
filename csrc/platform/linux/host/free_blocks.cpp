// Free memory by block size, the size from which hosts are told of it, and compaction.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>

#include "platform/host.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kBuddyinfo = "proc/buddyinfo";
constexpr const char* kReportingOrder = "sys/module/page_reporting/parameters/page_reporting_order";
constexpr const char* kHugePageSize = "sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
constexpr const char* kCompactMemory = "proc/sys/vm/compact_memory";
// MAX_ORDER of any architecture is below: larger values say "not set".
constexpr int kOrderLimit = 32;
constexpr std::uint64_t kLargestOrder = kOrderLimit;
constexpr int kOrderOf2MiB = 9;  // of 4 KiB pages

std::uint64_t page_bytes() noexcept { return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)); }

// The numbers after "zone   Normal": how many free blocks of each order.
bool add_counts(std::string_view counts, std::vector<std::uint64_t>& bytes) {
  std::uint64_t block_bytes = page_bytes();
  for (std::size_t order = 0;; ++order, block_bytes *= 2) {
    while (counts.starts_with(' ')) counts.remove_prefix(1);
    if (counts.empty()) return order != 0;
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(counts.data(), counts.data() + counts.size(), count);
    counts.remove_prefix(static_cast<std::size_t>(end - counts.data()));
    if (error != std::errc{} || order > kLargestOrder ||
        (!counts.empty() && !counts.starts_with(' '))) {
      return false;
    }
    if (bytes.size() == order) bytes.push_back(0);
    const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - bytes[order];
    if (count > room / block_bytes) return false;
    bytes[order] += count * block_bytes;
  }
}

}  // namespace

Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  const auto text = root.read(kBuddyinfo);
  if (!text) return Failure{Cause::kUnsupported, "open", errno, root.path_to(kBuddyinfo)};
  std::vector<std::uint64_t> bytes;
  for (std::string_view rest = *text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : rest.size());
    if (trimmed(line).empty()) continue;
    constexpr std::string_view kZone = "zone";
    std::size_t at = line.find(kZone);
    if (at != std::string_view::npos) at = line.find_first_not_of(' ', at + kZone.size());
    if (at != std::string_view::npos) at = line.find(' ', at);
    if (at == std::string_view::npos || !add_counts(line.substr(at), bytes)) {
      return root.nonsense(kBuddyinfo, line, "is no count of free blocks");
    }
  }
  return bytes;
}

// The driver registers with pageblock_order unless it asks for another (before Linux 5.14 there
// is no parameter and it is always that): the order of a huge page where the kernel has them.
Result<ReportingOrder> page_reporting_order(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  ReportingOrder out;
  out.page_bytes = page_bytes();
  const auto order = read_number(root, kReportingOrder);
  if (order && order.value() && *order.value() <= kLargestOrder) {
    out.order = static_cast<int>(*order.value());
    return out;
  }
  out.assumed = true;
  out.order = kOrderOf2MiB;
  const auto huge = read_number(root, kHugePageSize);
  if (huge && huge.value() && *huge.value() > out.page_bytes) {
    out.order = 0;
    while (out.order < kOrderLimit && (out.page_bytes << out.order) < *huge.value()) ++out.order;
  }
  return out;
}

Status compact_memory(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  const std::string path = root.path_to(kCompactMemory);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    // EROFS: /proc/sys of the usual container.
    const Cause cause = errno == ENOENT  ? Cause::kUnsupported
                        : errno == EROFS ? Cause::kRefused
                                         : cause_of(errno);
    return Failure{cause, "open", errno, path};
  }
  // A signal ends it early only where it ends the process (compact_nodes in mm/compaction.c).
  const ssize_t put = write(fd, "1", 1);
  const int code = put < 0 ? errno : 0;
  close(fd);
  if (code != 0) return failed("write", code, path);
  return Done{};
}

}  // namespace numapool::platform
