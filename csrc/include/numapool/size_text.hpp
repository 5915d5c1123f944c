// Formats a size in bytes for people.
#pragma once

#include <cstdint>
#include <string>

namespace numapool {

// "256 MiB", "1.5 GiB", "100 bytes".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace numapool
