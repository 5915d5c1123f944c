// /proc/self/pagemap: which pages are in memory; and of a range which parts are, and in huge pages:
// the PAGEMAP_SCAN ioctl (Linux 6.7).
//
// While the kernel moves a page (compaction, balancing), the page's entry is one of swap, though it
// never left the memory. mincore(2) tells the two apart (mincore_pte_range() in mm/mincore.c: such
// entries are always up to date). A page that is in the swap cache is in memory, too.
#include "platform/linux/memory/pagemap.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "platform/memory.hpp"

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
constexpr std::uint64_t kSwapped = 1U << 4;
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

// The kernel writes 0 or 1 for each page; whatever it leaves as it was is no answer.
constexpr unsigned char kNoAnswer = 0x80;

bool moves_or_is_cached(std::uintptr_t page) noexcept {
  unsigned char core = kNoAnswer;
  return mincore(reinterpret_cast<void*>(page), base_page_bytes(), &core) == 0 && core == 1;
}

// One entry of 64 bits per page; bit 63: present, bit 62: swapped. Read in windows, for pages asked
// about together are near each other.
class PresenceTable {
 public:
  Presence of(std::uintptr_t page) noexcept {
    if (pagemap_.fd() < 0) return Presence::kUnknown;
    const std::uint64_t number = page / base_page_bytes();
    if (number < first_ || number >= first_ + count_) load(number);
    if (count_ == 0) return Presence::kUnknown;
    const std::uint64_t entry = entries_[number - first_];
    const bool there =
        (entry & kPresentBit) != 0 || ((entry & kSwappedBit) != 0 && moves_or_is_cached(page));
    return there ? Presence::kPresent : Presence::kAbsent;
  }

 private:
  static constexpr std::uint64_t kPresentBit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kSwappedBit = std::uint64_t{1} << 62;

  void load(std::uint64_t number) noexcept {
    first_ = number;
    const ssize_t bytes = pread(pagemap_.fd(), entries_.data(), sizeof entries_,
                                static_cast<off_t>(number * sizeof entries_[0]));
    count_ = bytes < 0 ? 0 : static_cast<std::size_t>(bytes) / sizeof entries_[0];
  }

  Pagemap pagemap_;
  std::array<std::uint64_t, 512> entries_{};
  std::uint64_t first_ = 0;
  std::size_t count_ = 0;
};

// Visits the parts of a region with entries of swap that are in memory.
void visit_in_memory(const Region& region, const Visit& visit, const CoreCall& core) {
  const std::size_t page = base_page_bytes();
  std::array<unsigned char, 512> answers{};
  for (std::uintptr_t at = region.start; at < region.end;) {
    const std::size_t count = std::min(answers.size(), (region.end - at) / page);
    answers.fill(kNoAnswer);
    if (core(reinterpret_cast<void*>(at), count * page, answers.data()) != 0) answers.fill(0);
    for (std::size_t i = 0; i < count;) {
      const std::size_t first = i;
      while (i < count && answers[i] == 1) ++i;
      if (i != first)
        visit({at + first * page, at + i * page, (region.categories & kHuge) != 0});
      else
        ++i;
    }
    at += count * page;
  }
}

bool is_missing(int code) noexcept {
  return code == ENOTTY || code == EINVAL || code == ENOSYS || code == EPERM || code == EACCES;
}

}  // namespace

std::uintptr_t scan_resident(const void* address, std::size_t length, const Visit& visit) {
  static std::atomic<bool> missing{false};
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  if (missing.load(std::memory_order_relaxed)) return begin;
  const Pagemap pagemap;
  if (pagemap.fd() < 0) return begin;
  return scan_resident(
      address, length, visit,
      [&](void* argument) {
        // As a system call: the C libraries' functions differ in the type of the number.
        const int found = static_cast<int>(syscall(SYS_ioctl, pagemap.fd(), kScan, argument));
        if (found < 0 && is_missing(errno)) missing.store(true, std::memory_order_relaxed);
        return found;
      },
      mincore);
}

std::uintptr_t scan_resident(const void* address, std::size_t length, const Visit& visit,
                             const ScanCall& call, const CoreCall& core) {
  std::array<Region, 64> regions{};
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  ScanArgument scan{};
  scan.size = sizeof scan;
  scan.start = begin;
  scan.end = begin + length;
  scan.regions = reinterpret_cast<std::uintptr_t>(regions.data());
  scan.region_count = regions.size();
  scan.category_anyof_mask = kPresent | kSwapped;
  scan.return_mask = kPresent | kSwapped | kHuge;
  while (scan.start < scan.end) {
    scan.walk_end = 0;  // where it stays so, the call did nothing
    const int found = call(&scan);
    if (found < 0 || scan.walk_end <= scan.start) break;
    for (int i = 0; i < found; ++i) {
      const Region& region = regions[static_cast<std::size_t>(i)];
      if ((region.categories & kPresent) != 0)
        visit({region.start, region.end, (region.categories & kHuge) != 0});
      else
        visit_in_memory(region, visit, core);
    }
    scan.start = scan.walk_end;
  }
  return std::min(static_cast<std::uintptr_t>(scan.start), begin + length);
}

bool are_huge(const void* address, std::size_t length) {
  std::size_t bytes = 0;
  scan_resident(address, length, [&](const ResidentRun& run) {
    if (run.huge) bytes += run.end - run.start;
  });
  return bytes == length;
}

void read_presence(std::span<void* const> pages, std::span<Presence> out) {
  PresenceTable table;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    out[i] = table.of(reinterpret_cast<std::uintptr_t>(pages[i]));
    if (out[i] != Presence::kUnknown) continue;
    unsigned char core = kNoAnswer;
    const bool told = mincore(pages[i], base_page_bytes(), &core) == 0;
    if (told && core <= 1) out[i] = core == 1 ? Presence::kPresent : Presence::kAbsent;
    if (!told && errno == ENOMEM) out[i] = Presence::kAbsent;  // nothing is mapped there
  }
}

}  // namespace numapool::platform
