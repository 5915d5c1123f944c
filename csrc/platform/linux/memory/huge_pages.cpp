// Huge pages that a machine offers, and the system's interleave weights: small files of sysfs.
#include <algorithm>
#include <atomic>
#include <optional>
#include <string_view>

#include "platform/huge_pages.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/transparent_switch.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

// Relative to a machine's root.
constexpr const char* kHugetlbFolder = "sys/kernel/mm/hugepages";
constexpr const char* kNodeFolders = "sys/devices/system/node";
constexpr const char* kTransparentFolder = "sys/kernel/mm/transparent_hugepage";
constexpr const char* kWeightsFolder = "sys/kernel/mm/mempolicy/weighted_interleave";

std::string folder_of(std::uint64_t page_bytes) {
  return "/hugepages-" + std::to_string(page_bytes / 1024) + "kB";
}

std::optional<std::uint64_t> number_in(const Folder& root, const std::string& path) {
  const auto text = root.read(path.c_str());
  return text ? leading_number(*text) : std::nullopt;
}

std::string text_in(const Folder& root, const std::string& path) {
  const auto text = root.read(path.c_str());
  return text ? std::string(*text) : std::string();
}

// The number after a name's prefix; empty optional if the name has another prefix.
std::optional<std::uint64_t> id_in(std::string_view prefix, std::string_view name) {
  return name.starts_with(prefix) ? leading_number(name.substr(prefix.size())) : std::nullopt;
}

HugetlbPool pool_in(const Folder& root, std::uint64_t page_bytes) {
  const std::string folder = kHugetlbFolder + folder_of(page_bytes);
  HugetlbPool pool;
  pool.page_bytes = static_cast<std::size_t>(page_bytes);
  pool.total = number_in(root, folder + "/nr_hugepages").value_or(0);
  pool.free = number_in(root, folder + "/free_hugepages").value_or(0);
  return pool;
}

std::vector<HugetlbPool> pools_in(const Folder& root) {
  std::vector<HugetlbPool> pools;
  const Folder folder = root.folder(kHugetlbFolder);
  if (!folder.ok()) return pools;
  for (const std::string& name : folder.names()) {
    if (const auto kib = id_in("hugepages-", name)) {
      pools.push_back(pool_in(root, *kib * 1024));
    }
  }
  std::sort(pools.begin(), pools.end(),
            [](const HugetlbPool& a, const HugetlbPool& b) { return a.page_bytes < b.page_bytes; });
  return pools;
}

std::vector<int> nodes_in(const Folder& root) {
  std::vector<int> nodes;
  const Folder folder = root.folder(kNodeFolders);
  if (!folder.ok()) return nodes;
  for (const std::string& name : folder.names()) {
    if (const auto node = id_in("node", name)) nodes.push_back(static_cast<int>(*node));
  }
  std::sort(nodes.begin(), nodes.end());
  return nodes;
}

HugetlbReserve reserve_in(const Folder& root, const HugetlbPool& pool,
                          const std::vector<int>& nodes) {
  const std::string folder = folder_of(pool.page_bytes);
  HugetlbReserve reserve;
  reserve.page_bytes = pool.page_bytes;
  reserve.total = pool.total;
  reserve.free = pool.free;
  reserve.on_demand =
      number_in(root, kHugetlbFolder + folder + "/nr_overcommit_hugepages").value_or(0);
  for (const int node : nodes) {
    const std::string of_node =
        std::string(kNodeFolders) + "/node" + std::to_string(node) + "/hugepages" + folder;
    const auto total = number_in(root, of_node + "/nr_hugepages");
    if (!total || *total == 0) continue;
    reserve.by_node.push_back(
        {node, *total, number_in(root, of_node + "/free_hugepages").value_or(0)});
  }
  return reserve;
}

TransparentState state_in(const Folder& root) {
  TransparentState state;
  const std::string folder(kTransparentFolder);
  // The bytes that one entry of a page middle directory maps.
  state.page_bytes = number_in(root, folder + "/hpage_pmd_size").value_or(0);
  const std::string all = text_in(root, folder + "/enabled");
  const std::string own_folder = folder + folder_of(state.page_bytes);
  const std::string own = text_in(root, own_folder + "/enabled");
  const TransparentSwitch counts = transparent_switch(all, own);
  if (counts.mode.empty()) return state;
  state.mode = counts.mode;
  state.of_size = counts.of_size;
  state.switch_file = "/" + (counts.of_size ? own_folder : folder) + "/enabled";
  return state;
}

std::size_t read_transparent_page_bytes() {
  const TransparentState state = transparent_state("/");
  const TransparentSwitch counts{state.mode, state.of_size};
  return counts.on() ? static_cast<std::size_t>(state.page_bytes) : 0;
}

}  // namespace

std::size_t transparent_page_bytes() noexcept {
  constexpr std::size_t kUnknown = 1;
  static std::atomic<std::size_t> known{1};
  if (known.load(std::memory_order_relaxed) == kUnknown)
    known.store(read_transparent_page_bytes(), std::memory_order_relaxed);
  return known.load(std::memory_order_relaxed);
}

TransparentState transparent_state(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  return root.ok() ? state_in(root) : TransparentState{};
}

std::vector<HugetlbPool> hugetlb_pools() {
  const Folder root = Folder::open("/");
  return root.ok() ? pools_in(root) : std::vector<HugetlbPool>{};
}

std::vector<HugetlbReserve> hugetlb_reserves(const std::string& root_path) {
  std::vector<HugetlbReserve> reserves;
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return reserves;
  const std::vector<int> nodes = nodes_in(root);
  for (const HugetlbPool& pool : pools_in(root)) reserves.push_back(reserve_in(root, pool, nodes));
  return reserves;
}

std::string transparent_hint() {
  const TransparentState state = transparent_state("/");
  if (state.of_size)
    return "this size is switched off; as root: echo inherit > " + state.switch_file;
  return "they are switched off; as root: echo madvise > "
         "/sys/kernel/mm/transparent_hugepage/enabled";
}

std::string hugetlb_reserve_hint(std::size_t page_bytes) {
  return "reserve some as root: echo N > /" + (kHugetlbFolder + folder_of(page_bytes)) +
         "/nr_hugepages";
}

Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes) {
  std::vector<unsigned> weights;
  const Folder root = Folder::open("/");
  for (const int node : nodes) {
    const std::string path = std::string(kWeightsFolder) + "/node" + std::to_string(node);
    const auto weight = number_in(root, path);
    if (!weight) return Failure{Cause::kUnsupported, "open", ENOENT, "/" + path};
    weights.push_back(static_cast<unsigned>(*weight));
  }
  return weights;
}

}  // namespace numapool::platform
