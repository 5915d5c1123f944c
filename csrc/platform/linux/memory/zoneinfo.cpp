// The zones of /proc/zoneinfo: free pages, watermarks and what lower zones keep for themselves.
#include "platform/linux/memory/zoneinfo.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/kept_file.hpp"

namespace numapool::platform {
namespace {

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

// "low", "high" and "managed" of a zone; the lists of a CPU have "high:" with a colon.
void read_line(std::string_view line, Zone& zone) noexcept {
  if (const auto free = value_of(line, "pages free")) {
    zone.free = *free;
  } else if (const auto low = value_of(line, "low")) {
    zone.low = *low;
  } else if (const auto high = value_of(line, "high")) {
    zone.high = *high;
  } else if (const auto managed = value_of(line, "managed")) {
    zone.managed = *managed;
  } else if (line.starts_with("protection: (")) {
    zone.protection = largest_of(line.substr(13));
  }
}

// Takes the lines one after the other.
class Zones {
 public:
  explicit Zones(const TakeZone& take) : take_(take) {}
  void line(std::string_view line) {
    if (line.starts_with("Node ")) {
      close();
      const auto id = leading_number(line.substr(5));
      node_ = id && *id <= 1'000'000 ? static_cast<int>(*id) : -1;
    } else {
      read_line(line, zone_);
    }
  }
  void close() {
    if (node_ >= 0) take_(node_, zone_);
    zone_ = {};
    node_ = -1;
  }

 private:
  const TakeZone& take_;
  Zone zone_;
  int node_ = -1;
};

}  // namespace

void for_each_zone(std::string_view zoneinfo, const TakeZone& take) {
  Zones zones(take);
  while (!zoneinfo.empty()) zones.line(next_line(zoneinfo));
  zones.close();
}

int for_each_zone_in(const std::string& path, const TakeZone& take) {
  const struct File {
    int fd;
    ~File() {
      if (fd >= 0) ::close(fd);
    }
  } file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return errno;
  int error = 0;
  Zones zones(take);
  std::string text;
  std::array<char, 16384> piece{};
  for (ssize_t got = 0; (got = ::read(file.fd, piece.data(), piece.size())) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error = errno;
      break;
    }
    text.append(piece.data(), static_cast<std::size_t>(got));
    const std::size_t end = text.rfind('\n');
    if (end == std::string::npos) {
      if (text.size() <= kLargestFile) continue;
      error = EFBIG;  // no such file has lines like this
      break;
    }
    std::string_view lines(text.data(), end + 1);
    while (!lines.empty()) zones.line(next_line(lines));
    text.erase(0, end + 1);
  }
  std::string_view rest(text);
  if (!rest.empty()) zones.line(next_line(rest));
  zones.close();
  return error;
}

}  // namespace numapool::platform
