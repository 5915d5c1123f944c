// Reads /proc/self/mountinfo (proc_pid_mountinfo(5)): which file system a path is on. This is the
// one parser of that file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace numapool::platform {

struct Mount {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  unsigned major = 0;  // 0: the file system has no block device of its own
  unsigned minor = 0;
  std::string root;     // the folder of the file system that is mounted
  std::string point;    // where
  std::string type;     // "ext4", "btrfs", "overlay", ...
  std::string source;   // "/dev/sda1", "server:/export", "tmpfs", ...
  std::string options;  // of the file system, as the kernel writes them: escaped
};

// The mount with that id; empty optional if no line has it.
[[nodiscard]] std::optional<Mount> mount_of_id(std::string_view mountinfo, std::uint64_t id);
// Every mount, in the order of the lines; lines that make no sense are left out.
[[nodiscard]] std::vector<Mount> mounts_in(std::string_view mountinfo);
// The mount of an absolute path without links. Follows the path as the kernel does: a mount over a
// folder hides all mounts below it. Null if there is none.
[[nodiscard]] const Mount* mount_at(const std::vector<Mount>& mounts, std::string_view path);
[[nodiscard]] std::optional<Mount> mount_of_path(std::string_view mountinfo, std::string_view path);

// True if `list`, words between `separator`s, has `word`.
[[nodiscard]] bool has_word(std::string_view list, std::string_view word, char separator) noexcept;
// The value of an option, up to a comma and still escaped ("" for an option without value); empty
// optional if the option is not set.
[[nodiscard]] std::optional<std::string_view> mount_option(std::string_view options,
                                                           std::string_view name) noexcept;
// `text` with \ooo put back to the character that it stands for.
[[nodiscard]] std::string unescaped(std::string_view text);

// The part of `path` below `folder`, with its leading slash ("" for the folder itself); empty
// optional if `path` is elsewhere.
[[nodiscard]] std::optional<std::string_view> below(std::string_view path,
                                                    std::string_view folder) noexcept;

}  // namespace numapool::platform
