// How much each node can give before the kernel starts to reclaim there.
#include "platform/linux/pressure/watermarks.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/machine/node_memory.hpp"
#include "platform/linux/memory/zoneinfo.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kFindEvery = 10'000'000'000;  // ns; hot-plug and min_free_kbytes are rare
constexpr std::uint64_t kFindSoonest = 250'000'000;   // where not all could be read

// Adds up what each node's zones keep.
struct Reserves {
  std::map<int, std::uint64_t> pages;
  void operator()(int node, const Zone& zone) {
    pages[node] += std::min(zone.high + zone.protection, zone.managed);
  }
};

}  // namespace

std::map<int, std::uint64_t> parse_reserves(std::string_view zoneinfo) {
  Reserves reserves;
  for_each_zone(zoneinfo, std::ref(reserves));
  return std::move(reserves.pages);
}

std::map<int, std::uint64_t> read_reserves(const std::string& path) {
  Reserves reserves;
  static_cast<void>(for_each_zone_in(path, std::ref(reserves)));  // what could be read counts
  return std::move(reserves.pages);
}

NodeSupplies::NodeSupplies(std::string root)
    : root_(std::move(root)), machine_(root_ + "/proc/meminfo") {}

void NodeSupplies::find_nodes() {
  reserve_bytes_.clear();
  const Folder root = Folder::open(root_);
  for (const auto& [node, pages] : read_reserves(root_ + "/proc/zoneinfo"))
    reserve_bytes_[node] = pages * base_page_bytes();
  const std::string nodes = root_ + "/sys/devices/system/node";
  const auto text = root.ok() ? root.read("sys/devices/system/node/has_memory") : std::nullopt;
  const auto ids = text ? parse_id_list(*text) : std::nullopt;
  std::map<int, KeptFile> files;
  for (const int id : ids.value_or(std::vector<int>{})) {
    const auto known = meminfo_.find(id);
    if (known != meminfo_.end()) {
      files.emplace(id, std::move(known->second));
    } else {
      files.emplace(id, KeptFile(nodes + "/node" + std::to_string(id) + "/meminfo"));
    }
  }
  meminfo_ = std::move(files);
}

std::vector<NodeSupply> NodeSupplies::look(std::uint64_t now_ns) {
  if (find_after_ns_ == 0 || now_ns - found_ns_ >= find_after_ns_) {
    found_ns_ = now_ns;
    find_nodes();
    const bool whole = !meminfo_.empty() && !reserve_bytes_.empty();
    find_after_ns_ =
        whole ? kFindEvery : std::min(std::max(2 * find_after_ns_, kFindSoonest), kFindEvery);
  }
  std::vector<NodeSupply> out;
  for (auto& [id, file] : meminfo_) {
    const auto text = file.read();
    if (!text) continue;
    auto memory = parse_node_memory(*text);
    if (!memory || memory->total_bytes == 0) continue;
    if (meminfo_.size() == 1) {
      if (const auto machine = machine_.read()) complete_only_node(*memory, *machine);
    }
    const auto reserve = reserve_bytes_.find(id);
    const std::uint64_t kept = reserve == reserve_bytes_.end() ? 0 : reserve->second;
    const std::uint64_t free = memory->free_bytes;
    NodeSupply one{id, {0, memory->total_bytes}, free, kept};
    one.supply.available_bytes = (free > kept ? free - kept : 0) + memory->clean_file_bytes;
    out.push_back(one);
  }
  return out;
}

}  // namespace numapool::platform
