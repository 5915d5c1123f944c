// Huge pages that a machine offers, and the system's interleave weights: small files of sysfs.
#include <algorithm>
#include <atomic>
#include <bit>
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
constexpr std::uint64_t kUnread = 1;  // no size of pages
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

TransparentState state_of(const Folder& root, std::uint64_t page_bytes, bool whole_entry) {
  TransparentState state;
  state.page_bytes = page_bytes;
  state.whole_entry = whole_entry;
  const std::string folder(kTransparentFolder);
  const std::string own_folder = folder + folder_of(page_bytes);
  const std::string all = text_in(root, folder + "/enabled");
  const std::string own = text_in(root, own_folder + "/enabled");
  const TransparentSwitch counts = transparent_switch(all, own);
  if (counts.mode.empty()) return state;
  state.mode = counts.mode;
  state.of_size = counts.of_size;
  state.switch_file = "/" + (counts.of_size ? own_folder : folder) + "/enabled";
  return state;
}

std::uint64_t switched_on(const std::vector<TransparentState>& states) {
  std::uint64_t sizes = 0;
  for (const TransparentState& one : states) {
    const TransparentSwitch counts{one.mode, one.of_size};
    if (counts.on() && std::has_single_bit(one.page_bytes)) sizes |= one.page_bytes;
  }
  return sizes;
}

// Smaller sizes than that of a whole entry have folders from Linux 6.8 on. Where there is no switch
// of a size's own in its folder, it is one of shared memory alone.
std::vector<TransparentState> states_in(const Folder& root) {
  std::vector<TransparentState> states;
  const Folder folder = root.folder(kTransparentFolder);
  if (!folder.ok()) return states;
  const auto whole = number_in(root, std::string(kTransparentFolder) + "/hpage_pmd_size");
  states.push_back(state_of(root, whole.value_or(0), true));
  for (const std::string& name : folder.names()) {
    const std::uint64_t bytes = id_in("hugepages-", name).value_or(0) * 1024;
    if (!std::has_single_bit(bytes) || bytes == whole) continue;
    if (!text_in(root, kTransparentFolder + folder_of(bytes) + "/enabled").empty())
      states.push_back(state_of(root, bytes, false));
  }
  std::sort(states.begin(), states.end(),
            [](const auto& a, const auto& b) { return a.page_bytes < b.page_bytes; });
  const std::size_t best = best_transparent(switched_on(states), SIZE_MAX);
  for (TransparentState& one : states) one.chosen = best != 0 && one.page_bytes == best;
  return states;
}

std::uint64_t read_transparent_sizes() { return switched_on(transparent_states("/")); }

std::uint64_t read_whole_entry_bytes() {
  for (const TransparentState& one : transparent_states("/")) {
    if (one.whole_entry) return one.page_bytes;
  }
  return 0;
}

// Read again by threads that ask first at once: no lock for a fork to miss.
std::uint64_t read_once(std::atomic<std::uint64_t>& known, std::uint64_t (*read)()) {
  std::uint64_t value = known.load(std::memory_order_relaxed);
  if (value == kUnread) {
    value = read();
    known.store(value, std::memory_order_relaxed);
  }
  return value;
}

}  // namespace

std::uint64_t transparent_sizes() noexcept {
  static std::atomic<std::uint64_t> known{kUnread};
  return read_once(known, read_transparent_sizes);
}

std::size_t whole_entry_bytes() noexcept {
  static std::atomic<std::uint64_t> known{kUnread};
  return static_cast<std::size_t>(read_once(known, read_whole_entry_bytes));
}

std::vector<TransparentState> transparent_states(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  return root.ok() ? states_in(root) : std::vector<TransparentState>{};
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
  for (const TransparentState& one : transparent_states("/")) {
    if (one.whole_entry && one.of_size)
      return "this size is switched off; as root: echo inherit > " + one.switch_file;
  }
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
