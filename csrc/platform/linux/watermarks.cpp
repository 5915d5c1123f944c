// What each node could still give before the kernel begins to reclaim there.
#include "platform/linux/watermarks.hpp"

#include <algorithm>

#include "platform/linux/id_list.hpp"
#include "platform/linux/tree.hpp"
#include "platform/linux/values.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kFindEvery = 10'000'000'000;  // ns; hot-plug and min_free_kbytes are rare

struct Zone {
  std::uint64_t high = 0;
  std::uint64_t managed = 0;
  std::uint64_t protection = 0;
  [[nodiscard]] std::uint64_t reserve() const noexcept {
    return std::min(high + protection, managed);
  }
};

std::string_view next_line(std::string_view& text) noexcept {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return line;
}

std::optional<std::uint64_t> value_of(std::string_view line, std::string_view key) noexcept {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ')
    return std::nullopt;
  line.remove_prefix(key.size());
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return leading_number(line);
}

std::uint64_t largest_of(std::string_view list) noexcept {
  std::uint64_t largest = 0;
  while (!list.empty()) {
    const auto number = leading_number(list);
    if (number) largest = std::max(largest, *number);
    const std::size_t comma = list.find(", ");
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 2);
  }
  return largest;
}

}  // namespace

std::map<int, std::uint64_t> parse_reserves(std::string_view zoneinfo) {
  std::map<int, std::uint64_t> pages;
  Zone zone;
  int node = -1;
  const auto close_zone = [&] {
    if (node >= 0) pages[node] += zone.reserve();
    zone = {};
  };
  while (!zoneinfo.empty()) {
    const std::string_view line = next_line(zoneinfo);
    if (line.starts_with("Node ")) {
      close_zone();
      const auto id = leading_number(line.substr(5));
      node = id && *id <= 1'000'000 ? static_cast<int>(*id) : -1;
    } else if (const auto high = value_of(line, "high")) {
      // The lists of a CPU have a "high" as well: with a colon.
      zone.high = *high;
    } else if (const auto managed = value_of(line, "managed")) {
      zone.managed = *managed;
    } else if (line.starts_with("protection: (")) {
      zone.protection = largest_of(line.substr(13));
    }
  }
  close_zone();
  return pages;
}

NodeSupplies::NodeSupplies(std::string root)
    : root_(std::move(root)), zoneinfo_(root_ + "/proc/zoneinfo") {}

void NodeSupplies::find_nodes() {
  reserve_bytes_.clear();
  // Larger than a KeptFile reads on machines of many CPUs, and seldom read.
  const Folder root = Folder::open(root_);
  if (const auto text = root.ok() ? root.read("proc/zoneinfo") : std::nullopt) {
    for (const auto& [node, pages] : parse_reserves(*text))
      reserve_bytes_[node] = pages * base_page_bytes();
  }
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
  if (found_ns_ == 0 || now_ns - found_ns_ >= kFindEvery) {
    found_ns_ = now_ns;
    find_nodes();
  }
  std::vector<NodeSupply> out;
  for (auto& [id, file] : meminfo_) {
    const auto text = file.read();
    if (!text) continue;
    const auto bytes = [&](std::string_view key) { return meminfo_bytes(*text, key).value_or(0); };
    const std::uint64_t total = bytes("MemTotal:");
    if (total == 0) continue;
    const auto reserve = reserve_bytes_.find(id);
    const std::uint64_t kept = reserve == reserve_bytes_.end() ? 0 : reserve->second;
    const std::uint64_t free = bytes("MemFree:");
    const std::uint64_t file_pages = bytes("Active(file):") + bytes("Inactive(file):");
    const std::uint64_t unclean = bytes("Dirty:") + bytes("Writeback:");
    NodeSupply one{id, {0, total}, free, kept};
    one.supply.available_bytes =
        (free > kept ? free - kept : 0) + (file_pages > unclean ? file_pages - unclean : 0);
    out.push_back(one);
  }
  return out;
}

}  // namespace numapool::platform
