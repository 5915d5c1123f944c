// /proc/self/numa_maps: the slow way to see where pages are, for processes that may not ask
// otherwise.
#include "platform/linux/memory/numa_maps.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "platform/linux/files/c_file.hpp"
#include "platform/linux/memory/pagemap.hpp"

namespace numapool::platform {
namespace {

struct Line {
  std::uintptr_t start = 0;
  std::size_t page_bytes = 0;
  std::map<int, std::uint64_t> pages_by_node;
};

// "7f0000000000 prefer:1 anon=512 dirty=512 N1=512 kernelpagesize_kB=4"
Line parse(char* text, std::size_t base_page) {
  Line line;
  line.page_bytes = base_page;
  line.start = std::strtoull(text, nullptr, 16);
  char* rest = nullptr;
  for (char* word = strtok_r(text, " \n", &rest); word != nullptr;
       word = strtok_r(nullptr, " \n", &rest)) {
    int node = 0;
    std::uint64_t value = 0;
    if (std::sscanf(word, "N%d=%" SCNu64, &node, &value) == 2) line.pages_by_node[node] += value;
    if (std::sscanf(word, "kernelpagesize_kB=%" SCNu64, &value) == 1)
      line.page_bytes = value * 1024;
  }
  return line;
}

// Nothing where that cannot be told of some page.
std::optional<std::uint64_t> resident_bytes(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page) {
  constexpr std::size_t kBatch = 512;
  std::array<void*, kBatch> pages{};
  std::array<Presence, kBatch> presence{};
  std::uint64_t bytes = 0;
  for (std::uintptr_t at = begin; at < end;) {
    std::size_t count = 0;
    for (; count < kBatch && at < end; at += base_page)
      pages[count++] = reinterpret_cast<void*>(at);
    read_presence({pages.data(), count}, presence);
    for (std::size_t i = 0; i < count; ++i) {
      if (presence[i] == Presence::kUnknown) return std::nullopt;
      if (presence[i] == Presence::kPresent) bytes += base_page;
    }
  }
  return bytes;
}

}  // namespace

std::optional<Residency> count_in_numa_maps(std::uintptr_t begin, std::uintptr_t end,
                                            std::size_t base_page) {
  const CFile file(std::fopen("/proc/self/numa_maps", "re"));
  if (!file) return std::nullopt;
  // Lines carry no end address: a line reaches at most to the start of the next. Those that may
  // overlap the range are the last at or below `begin` and all that start inside it.
  std::vector<Line> overlapping;
  char* text = nullptr;
  std::size_t capacity = 0;
  while (getline(&text, &capacity, file.get()) > 0) {
    const std::uintptr_t start = std::strtoull(text, nullptr, 16);
    if (start >= end) break;
    if (start <= begin) overlapping.clear();
    overlapping.push_back(parse(text, base_page));
  }
  std::free(text);
  if (overlapping.empty() || overlapping.front().start > begin) return std::nullopt;

  Residency out;
  out.method = Method::kNumaMaps;
  out.page_bytes = base_page;
  std::map<int, std::uint64_t> bytes_by_node;
  std::uint64_t counted = 0;
  for (const Line& line : overlapping) {
    out.page_bytes = std::max(out.page_bytes, line.page_bytes);
    for (const auto& [node, pages] : line.pages_by_node) {
      bytes_by_node[node] += pages * line.page_bytes;
      counted += pages * line.page_bytes;
    }
  }
  const std::optional<std::uint64_t> told = resident_bytes(begin, end, base_page);
  if (!told) return std::nullopt;
  const std::uint64_t resident = *told;
  if (counted != resident) {
    // Neighbours are counted in. On a single node the answer is still certain, and only its size is
    // corrected.
    if (bytes_by_node.size() != 1 || counted < resident) return std::nullopt;
    bytes_by_node.begin()->second = resident;
  }
  if (resident != 0) out.bytes_by_node.assign(bytes_by_node.begin(), bytes_by_node.end());
  out.not_resident_bytes = (end - begin) - resident;
  return out;
}

}  // namespace numapool::platform
