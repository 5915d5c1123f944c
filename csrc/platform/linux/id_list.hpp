// The kernel's two ways to write a set of ids: the list "0-3,8" and the mask "00000000,0000010f".
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace numapool::platform {

// Ids above this are no CPU and no node of any kernel (CONFIG_NR_CPUS ends at 8192, nodes at 1024):
// a tree that names one is broken, and nothing is allocated for it.
inline constexpr int kLargestId = 65535;

// The ids, ascending, each once; an empty text is the empty set. Nothing where the text is no list.
// White space and NUL bytes at the end are ignored: some drivers write values that end in "\n\0".
[[nodiscard]] std::optional<std::vector<int>> parse_id_list(std::string_view text);

// The ids whose bits are set, ascending. Groups of 32 bits in hexadecimal, the highest first,
// parted by commas.
[[nodiscard]] std::optional<std::vector<int>> parse_id_mask(std::string_view text);

// `text` without the white space and NUL bytes around it.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

}  // namespace numapool::platform
