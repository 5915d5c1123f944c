// /proc/self/smaps: what pages the mappings of this process have.
#include "platform/linux/memory/smaps.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "platform/linux/files/c_file.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/memory/pagemap.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
bool each_mapping(std::uintptr_t begin, std::uintptr_t end,
                  const std::function<void(const MappingPages&)>& visit, const std::string& path) {
  const CFile file(std::fopen(path.c_str(), "re"));
  if (!file) return false;
  MappingPages now;
  const auto tell = [&] {
    if (now.end > begin) visit(now);
  };
  char* text = nullptr;
  std::size_t capacity = 0;
  while (getline(&text, &capacity, file.get()) > 0) {
    MappingPages next;
    std::uint64_t kib = 0;
    if (std::sscanf(text, "%" SCNxPTR "-%" SCNxPTR " ", &next.begin, &next.end) == 2) {
      tell();
      now = next;
      if (next.begin >= end) break;
    } else if (std::sscanf(text, "KernelPageSize: %" SCNu64 " kB", &kib) == 1) {
      now.page_bytes = kib * kKiB;
    } else if (std::sscanf(text, "AnonHugePages: %" SCNu64 " kB", &kib) == 1 ||
               std::sscanf(text, "ShmemPmdMapped: %" SCNu64 " kB", &kib) == 1 ||
               std::sscanf(text, "FilePmdMapped: %" SCNu64 " kB", &kib) == 1) {
      now.transparent_bytes += kib * kKiB;
    }
  }
  std::free(text);
  if (now.begin < end) tell();
  return true;
}

bool holds_huge_pages(std::uintptr_t begin, std::uintptr_t end) {
  std::uint64_t huge = 0;
  std::uint64_t outside = 0;
  each_mapping(begin, end, [&](const MappingPages& one) {
    huge += one.transparent_bytes;
    outside += (one.end - one.begin) - (std::min(one.end, end) - std::max(one.begin, begin));
  });
  return huge > outside;
}

std::vector<HugetlbMapping> hugetlb_mappings() {
  std::vector<HugetlbMapping> out;
  // A small file first (HugetlbPages: resident ones, Linux 4.4), for most processes have none.
  const Folder self = Folder::open("/proc/self");
  const auto status = self.ok() ? self.read("status") : std::nullopt;
  if (!status || meminfo_bytes(*status, "HugetlbPages:").value_or(0) == 0) return out;
  each_mapping(0, UINTPTR_MAX, [&](const MappingPages& one) {
    if (one.page_bytes > base_page_bytes()) out.push_back({{one.begin, one.end}, one.page_bytes});
  });
  return out;
}

Span transparent_page_at(std::uintptr_t address) {
  const std::size_t size = whole_entry_bytes();
  if (size == 0) return {};
  const Span page{address / size * size, address / size * size + size};
  bool huge = false;
  const std::uintptr_t known =
      scan_resident(reinterpret_cast<void*>(page.begin), size,
                    [&](const ResidentRun& run) { huge = huge || run.huge; });
  if (known < page.end && !huge) {
    const bool told = each_mapping(page.begin, page.end, [&](const MappingPages& one) {
      huge = huge || one.transparent_bytes != 0;
    });
    huge = huge || !told;
  }
  return huge ? page : Span{};
}

}  // namespace numapool::platform
