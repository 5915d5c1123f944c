// A small kernel file kept open and read anew with pread: two cheap system calls a look instead of
// three, and looks go on when the process has no descriptors left.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "platform/linux/files/kept_descriptor.hpp"

namespace numapool::platform {

// Not thread-safe: the owner holds a lock. Files of /proc/self stay those of the process that
// opened them, so the owner drops its files after a fork.
class KeptFile {
 public:
  explicit KeptFile(std::string path) noexcept;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // The text of now, valid until the next call on any KeptFile of this thread; nothing if it cannot
  // be read.
  [[nodiscard]] std::optional<std::string_view> read() noexcept;
  // errno of the last read() that gave nothing.
  [[nodiscard]] int error() const noexcept { return error_; }
  // The descriptor's number, or -1.
  [[nodiscard]] int number() const noexcept { return kept_.number(); }

 private:
  std::string path_;
  KeptDescriptor kept_;
  int error_ = 0;
};

// The number after `key` at the start of a line or after white space ("MemAvailable:" in meminfo,
// "active_file " in memory.stat); empty optional if the key is missing.
[[nodiscard]] std::optional<std::uint64_t> number_after(std::string_view text,
                                                        std::string_view key) noexcept;
// The number that the text starts with; nothing for "max" and other words.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text) noexcept;

}  // namespace numapool::platform
