// Which parts of a range are resident, and in huge pages: the PAGEMAP_SCAN ioctl (Linux 6.7).
#include "platform/linux/pagemap.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace numapool::platform {
namespace {

// Layout and numbers of include/uapi/linux/fs.h; Documentation/admin-guide/mm/pagemap.rst describes
// them.
struct ScanArgument {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t regions;
  std::uint64_t region_count;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
struct Region {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
constexpr std::uint64_t kPresent = 1U << 3;
constexpr std::uint64_t kHuge = 1U << 6;
constexpr unsigned long kScan = _IOWR('f', 16, ScanArgument);

// Opened for each scan: a descriptor kept over fork would show the parent's pages.
class Pagemap {
 public:
  Pagemap() noexcept : fd_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}
  ~Pagemap() {
    if (fd_ >= 0) close(fd_);
  }
  Pagemap(const Pagemap&) = delete;
  Pagemap& operator=(const Pagemap&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

bool scan_resident(const void* address, std::size_t length,
                   const std::function<void(const ResidentRun&)>& visit) {
  static std::atomic<bool> missing{false};
  if (missing.load(std::memory_order_relaxed)) return false;
  const Pagemap pagemap;
  if (pagemap.fd() < 0) return false;
  std::array<Region, 64> regions{};
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  ScanArgument scan{};
  scan.size = sizeof scan;
  scan.start = begin;
  scan.end = begin + length;
  scan.regions = reinterpret_cast<std::uintptr_t>(regions.data());
  scan.region_count = regions.size();
  scan.category_mask = kPresent;
  scan.return_mask = kPresent | kHuge;
  while (scan.start < scan.end) {
    const int found = ioctl(pagemap.fd(), kScan, &scan);
    if (found < 0) {
      if (scan.start == begin) missing.store(true, std::memory_order_relaxed);
      return scan.start != begin;
    }
    for (int i = 0; i < found; ++i) {
      const Region& region = regions[static_cast<std::size_t>(i)];
      visit({region.start, region.end, (region.categories & kHuge) != 0});
    }
    if (scan.walk_end <= scan.start) break;
    scan.start = scan.walk_end;
  }
  return true;
}

}  // namespace numapool::platform
