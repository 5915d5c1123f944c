// Typed values of small files: sets of ids, sizes in kB, plain numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "platform/linux/files/file_tree.hpp"

namespace numapool::platform {

inline constexpr std::uint64_t kKiB = 1024;

// The ids that the file lists; empty optional if there is no such file. A text that is not a list,
// or contains an id above `largest`, fails with the reason `why`.
Result<std::optional<std::vector<int>>> read_ids(const Folder& folder, const char* file,
                                                 int largest, const char* why);

// The number in a file that contains nothing else; empty optional if the file is missing or empty.
Result<std::optional<std::uint64_t>> read_number(const Folder& folder, const char* file);

// The size after `key` in a meminfo file, of the machine or of a node: "MemTotal:  263923664 kB".
// Nothing if the key is missing, or no size that 64 bits hold follows it.
[[nodiscard]] std::optional<std::uint64_t> meminfo_bytes(std::string_view text,
                                                         std::string_view key) noexcept;

}  // namespace numapool::platform
