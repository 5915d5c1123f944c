// What each node could still give before the kernel begins to reclaim there.
#include "platform/linux/watermarks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "platform/linux/id_list.hpp"
#include "platform/linux/node_memory.hpp"
#include "platform/linux/tree.hpp"
#include "platform/linux/values.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kFindEvery = 10'000'000'000;  // ns; hot-plug and min_free_kbytes are rare
constexpr std::uint64_t kFindSoonest = 250'000'000;   // where not all could be read

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

// Takes the lines of /proc/zoneinfo one after the other.
class Reserves {
 public:
  void take(std::string_view line) {
    if (line.starts_with("Node ")) {
      close_zone();
      const auto id = leading_number(line.substr(5));
      node_ = id && *id <= 1'000'000 ? static_cast<int>(*id) : -1;
    } else if (const auto high = value_of(line, "high")) {
      // The lists of a CPU have a "high" as well: with a colon.
      zone_.high = *high;
    } else if (const auto managed = value_of(line, "managed")) {
      zone_.managed = *managed;
    } else if (line.starts_with("protection: (")) {
      zone_.protection = largest_of(line.substr(13));
    }
  }
  std::map<int, std::uint64_t> finish() {
    close_zone();
    return std::move(pages_);
  }

 private:
  void close_zone() {
    if (node_ >= 0) pages_[node_] += zone_.reserve();
    zone_ = {};
  }
  std::map<int, std::uint64_t> pages_;
  Zone zone_;
  int node_ = -1;
};

}  // namespace

std::map<int, std::uint64_t> parse_reserves(std::string_view zoneinfo) {
  Reserves reserves;
  while (!zoneinfo.empty()) reserves.take(next_line(zoneinfo));
  return reserves.finish();
}

std::map<int, std::uint64_t> read_reserves(const std::string& path) {
  const struct File {
    int fd;
    ~File() {
      if (fd >= 0) ::close(fd);
    }
  } file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return {};
  Reserves reserves;
  std::string text;
  std::array<char, 16384> piece{};
  for (ssize_t got = 0; (got = ::read(file.fd, piece.data(), piece.size())) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    const std::size_t end = text.rfind('\n');
    if (end == std::string::npos) {
      if (text.size() > kLargestFile) break;  // no such file has lines like this
      continue;
    }
    std::string_view lines(text.data(), end + 1);
    while (!lines.empty()) reserves.take(next_line(lines));
    text.erase(0, end + 1);
  }
  std::string_view rest(text);
  if (!rest.empty()) reserves.take(next_line(rest));
  return reserves.finish();
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
