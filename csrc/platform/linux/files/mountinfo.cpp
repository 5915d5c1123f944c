// Reads /proc/self/mountinfo (proc_pid_mountinfo(5)): which file system a path is on.
#include "platform/linux/files/mountinfo.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <system_error>

namespace numapool::platform {
namespace {

std::string_view take_until(std::string_view& text, char end) noexcept {
  const std::size_t length = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return taken;
}

template <class Number>
bool to_number(std::string_view text, Number& value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
std::optional<Mount> parsed(std::string_view line) {
  Mount mount;
  if (!to_number(take_until(line, ' '), mount.id)) return std::nullopt;
  if (!to_number(take_until(line, ' '), mount.parent)) return std::nullopt;
  std::string_view device = take_until(line, ' ');
  if (!to_number(take_until(device, ':'), mount.major) || !to_number(device, mount.minor)) {
    return std::nullopt;
  }
  mount.root = unescaped(take_until(line, ' '));
  mount.point = unescaped(take_until(line, ' '));
  while (!line.empty() && take_until(line, ' ') != "-") continue;
  mount.type = unescaped(take_until(line, ' '));
  mount.source = unescaped(take_until(line, ' '));
  mount.options = line;  // the rest: "mpol=prefer (many):1" has a blank in it
  if (mount.type.empty()) return std::nullopt;
  return mount;
}

}  // namespace

std::optional<Mount> mount_of_id(std::string_view mountinfo, std::uint64_t id) {
  while (!mountinfo.empty()) {
    const std::string_view line = take_until(mountinfo, '\n');
    std::uint64_t found = 0;
    std::string_view rest = line;
    if (to_number(take_until(rest, ' '), found) && found == id) return parsed(line);
  }
  return std::nullopt;
}

std::vector<Mount> mounts_in(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  while (!mountinfo.empty()) {
    if (auto mount = parsed(take_until(mountinfo, '\n'))) mounts.push_back(std::move(*mount));
  }
  return mounts;
}

const Mount* mount_at(const std::vector<Mount>& mounts, std::string_view path) {
  std::set<std::uint64_t> ids;
  for (const Mount& mount : mounts) ids.insert(mount.id);
  const Mount* at = nullptr;
  // Each step goes to a mount on the one before; no text, however odd, has more steps than mounts.
  for (std::size_t steps = 0; steps <= mounts.size(); ++steps) {
    const Mount* next = nullptr;
    for (const Mount& mount : mounts) {
      const bool is_top = mount.parent == mount.id || !ids.contains(mount.parent);
      if (at == nullptr ? !is_top : is_top || mount.parent != at->id) continue;
      if (!below(path, mount.point)) continue;
      // The walk meets the shortest point first. Of two on one point the later one is meant.
      if (next == nullptr || mount.point.size() <= next->point.size()) next = &mount;
    }
    if (next == nullptr) break;
    at = next;
  }
  return at;
}

std::optional<Mount> mount_of_path(std::string_view mountinfo, std::string_view path) {
  const std::vector<Mount> mounts = mounts_in(mountinfo);
  const Mount* const found = mount_at(mounts, path);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

bool has_word(std::string_view list, std::string_view word, char separator) noexcept {
  while (!list.empty()) {
    if (take_until(list, separator) == word) return true;
  }
  return false;
}

std::optional<std::string_view> mount_option(std::string_view options,
                                             std::string_view name) noexcept {
  while (!options.empty()) {
    std::string_view one = take_until(options, ',');
    if (one.starts_with(name) && one.size() > name.size() && one[name.size()] == '=') {
      one.remove_prefix(name.size() + 1);
      return one;
    }
    if (one == name) return std::string_view{};
  }
  return std::nullopt;
}

std::string unescaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto digit = [&](std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '7';
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(value & 0xff);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<std::string_view> below(std::string_view path, std::string_view folder) noexcept {
  if (folder == "/") return path == "/" ? path.substr(1) : path;
  if (!path.starts_with(folder)) return std::nullopt;
  path.remove_prefix(folder.size());
  if (!path.empty() && path.front() != '/') return std::nullopt;
  return path;
}

}  // namespace numapool::platform
