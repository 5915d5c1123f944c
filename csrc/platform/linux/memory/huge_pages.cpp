// Huge pages that this machine offers, and the system's interleave weights: small files under
// /sys/kernel/mm.
#include <dirent.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/transparent_switch.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kHugetlbRoot = "/sys/kernel/mm/hugepages";
constexpr const char* kTransparentRoot = "/sys/kernel/mm/transparent_hugepage";
constexpr const char* kWeightsRoot = "/sys/kernel/mm/mempolicy/weighted_interleave";

std::string folder_of(std::size_t page_bytes) {
  return std::string(kHugetlbRoot) + "/hugepages-" + std::to_string(page_bytes / 1024) + "kB";
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  KeptFile file(path);
  const auto text = file.read();
  return text ? leading_number(*text) : std::nullopt;
}

std::string text_in(const std::string& path) {
  KeptFile file(path);
  const auto text = file.read();
  return text ? std::string(*text) : std::string();
}

std::string transparent_folder_of(std::size_t page_bytes) {
  return std::string(kTransparentRoot) + "/hugepages-" + std::to_string(page_bytes / 1024) + "kB";
}

// What one entry of a page middle directory maps; 0 where it is unknown.
std::size_t largest_transparent_bytes() {
  return static_cast<std::size_t>(
      number_in(std::string(kTransparentRoot) + "/hpage_pmd_size").value_or(0));
}

TransparentSwitch switch_of(std::size_t page_bytes) {
  return transparent_switch(text_in(std::string(kTransparentRoot) + "/enabled"),
                            text_in(transparent_folder_of(page_bytes) + "/enabled"));
}

struct FolderCloser {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};

std::size_t read_transparent_page_bytes() {
  const std::size_t size = largest_transparent_bytes();
  return switch_of(size) == TransparentSwitch::kOn ? size : 0;
}

}  // namespace

std::size_t transparent_page_bytes() noexcept {
  constexpr std::size_t kUnknown = 1;
  static std::atomic<std::size_t> known{1};
  if (known.load(std::memory_order_relaxed) == kUnknown)
    known.store(read_transparent_page_bytes(), std::memory_order_relaxed);
  return known.load(std::memory_order_relaxed);
}

std::vector<HugetlbPool> hugetlb_pools() {
  std::vector<HugetlbPool> pools;
  const std::unique_ptr<DIR, FolderCloser> folder(opendir(kHugetlbRoot));
  if (!folder) return pools;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with("hugepages-")) continue;
    const auto kib = leading_number(name.substr(10));
    if (!kib) continue;
    HugetlbPool pool;
    pool.page_bytes = static_cast<std::size_t>(*kib) * 1024;
    pool.total = number_in(folder_of(pool.page_bytes) + "/nr_hugepages").value_or(0);
    pool.free = number_in(folder_of(pool.page_bytes) + "/free_hugepages").value_or(0);
    pools.push_back(pool);
  }
  std::sort(pools.begin(), pools.end(),
            [](const HugetlbPool& a, const HugetlbPool& b) { return a.page_bytes < b.page_bytes; });
  return pools;
}

std::string transparent_hint() {
  const std::size_t size = largest_transparent_bytes();
  if (switch_of(size) == TransparentSwitch::kOffForSize) {
    return "this size is switched off; as root: echo inherit > " + transparent_folder_of(size) +
           "/enabled";
  }
  return "they are switched off; as root: echo madvise > "
         "/sys/kernel/mm/transparent_hugepage/enabled";
}

std::string hugetlb_reserve_hint(std::size_t page_bytes) {
  return "reserve some as root: echo N > " + folder_of(page_bytes) + "/nr_hugepages";
}

Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes) {
  std::vector<unsigned> weights;
  for (const int node : nodes) {
    const std::string path = std::string(kWeightsRoot) + "/node" + std::to_string(node);
    const auto weight = number_in(path);
    if (!weight) return Failure{Cause::kUnsupported, "open", ENOENT, path};
    weights.push_back(static_cast<unsigned>(*weight));
  }
  return weights;
}

}  // namespace numapool::platform
