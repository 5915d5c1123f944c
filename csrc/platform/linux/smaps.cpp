// /proc/self/smaps: whether a range holds transparent huge pages, on kernels before PAGEMAP_SCAN.
#include "platform/linux/smaps.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace numapool::platform {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

bool holds_huge_pages(std::uintptr_t begin, std::uintptr_t end) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen("/proc/self/smaps", "re"));
  if (!file) return false;
  constexpr std::uint64_t kKiB = 1024;
  std::uint64_t huge = 0;
  std::uint64_t outside = 0;
  bool overlaps = false;
  char* text = nullptr;
  std::size_t capacity = 0;
  while (getline(&text, &capacity, file.get()) > 0) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    std::uint64_t kib = 0;
    if (std::sscanf(text, "AnonHugePages: %" SCNu64 " kB", &kib) == 1) {
      if (overlaps) huge += kib * kKiB;
    } else if (std::sscanf(text, "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) == 2) {
      if (first >= end) break;
      overlaps = last > begin;
      if (overlaps) outside += (last - first) - (std::min(last, end) - std::max(first, begin));
    }
  }
  std::free(text);
  return huge > outside;
}

}  // namespace numapool::platform
