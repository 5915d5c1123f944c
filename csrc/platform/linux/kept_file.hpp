// A small kernel file kept open and read anew with pread: one system call a look instead of three.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace numapool::platform {

// Not thread-safe: the owner holds a lock. Files of /proc/self stay those of the process that
// opened them, so the owner drops its files after a fork.
class KeptFile {
 public:
  explicit KeptFile(std::string path) noexcept;
  ~KeptFile();
  KeptFile(KeptFile&& other) noexcept;
  KeptFile& operator=(KeptFile&& other) noexcept;
  KeptFile(const KeptFile&) = delete;
  KeptFile& operator=(const KeptFile&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // The text of now, valid until the next call on any KeptFile of this thread; nothing if it cannot
  // be read.
  [[nodiscard]] std::optional<std::string_view> read() noexcept;

 private:
  std::string path_;
  int fd_ = -1;
};

// The number after `key` at the start of a line or after white space ("MemAvailable:" in meminfo,
// "active_file " in memory.stat); nothing where the key is missing.
[[nodiscard]] std::optional<std::uint64_t> number_after(std::string_view text,
                                                        std::string_view key) noexcept;
// The number that the text starts with; nothing for "max" and other words.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text) noexcept;

}  // namespace numapool::platform
