// Reads small files below a root folder: the running machine's /sys and /proc, or a copy of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// An open folder. Paths are relative to it; nothing outside is reached but through links the tree
// itself has.
class Folder {
 public:
  Folder() = default;
  ~Folder();
  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&& other) noexcept;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // Not ok() where there is no such folder.
  [[nodiscard]] static Folder open(const std::string& path);
  [[nodiscard]] Folder folder(const char* relative) const;
  [[nodiscard]] bool ok() const noexcept { return fd_ >= 0; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path_to(const char* relative) const;

  // The first kLargestFile bytes of the file; empty optional if it cannot be read. Valid until this
  // thread's next read of any Folder.
  [[nodiscard]] std::optional<std::string_view> read(const char* relative) const;
  // All of the file's text, however long; nothing, and errno, where it cannot be read or has more
  // than kLargestText bytes.
  [[nodiscard]] std::optional<std::string> read_whole(const char* relative) const;
  // Names in the folder, in no order.
  [[nodiscard]] std::vector<std::string> names() const;
  // The contents of a symbolic link; empty optional if there is no such link.
  [[nodiscard]] std::optional<std::string> link(const char* relative) const;
  // Whether there is such an entry, of any type.
  [[nodiscard]] bool has(const char* relative) const noexcept;

  // The failure of a file that makes no sense: its name, the text it holds (cut), and why.
  [[nodiscard]] Failure nonsense(const char* relative, std::string_view text,
                                 const char* why) const;

 private:
  Folder(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// A list of 65536 CPUs, every second one online, is 190 KiB; /proc/self/status grows with the
// groups of its user and may be larger than any file of sysfs.
inline constexpr std::size_t kLargestFile = std::size_t{1} << 20;

// The system's limit of 100,000 mounts (fs.mount-max) is some 20 MiB of mountinfo. A file without
// an end in a foreign tree must not fill the memory.
inline constexpr std::size_t kLargestText = std::size_t{256} << 20;

// As Folder::read_whole(), of a path by itself.
[[nodiscard]] std::optional<std::string> whole_text(const std::string& path);

}  // namespace numapool::platform
