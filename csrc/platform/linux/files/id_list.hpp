// The kernel's two ways to write a set of ids: the list "0-3,8" and the mask "00000000,0000010f".
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace numapool::platform {

// Ids above these are no CPU and no node of any kernel (CONFIG_NR_CPUS ends at 8192, NODES_SHIFT at
// 10): a text that names one is broken, and nothing is allocated for it.
inline constexpr int kLargestId = 65535;
inline constexpr int kLargestNodeId = 1023;

// CONFIG_NR_CPUS of MAXSMP kernels: a set of CPUs of so many bits is never too small.
inline constexpr std::size_t kMaxCpus = 8192;

// The ids, ascending and without duplicates; an empty text is the empty set. "8-15:1/2" is the
// first of each two from 8 to 15, as in kernel-parameters.rst. Empty optional if the text is not a
// list, or contains an id above `largest`. Time and memory are bounded by the length of the text
// and by `largest`. Surrounding white space and NUL bytes are ignored: some drivers write values
// that end in "
// \0".
[[nodiscard]] std::optional<std::vector<int>> parse_id_list(std::string_view text,
                                                            int largest = kLargestId);

// The ids whose bits are set, ascending; an empty text is the empty set. The text has groups of 32
// bits in hexadecimal, the highest first, separated by commas. Empty optional if the text is not a
// mask, or has a bit above kLargestId.
[[nodiscard]] std::optional<std::vector<int>> parse_id_mask(std::string_view text);

// `text` without the white space and NUL bytes around it.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

}  // namespace numapool::platform
