// The little that POSIX tells of a machine, for systems that numapool knows nothing else about.
#pragma once

#include <cstddef>
#include <cstdint>

namespace numapool::platform::unsupported {

// 4096 where the system does not say.
[[nodiscard]] std::size_t page_bytes() noexcept;

// Where the system does not say, what an address space could hold: a node without memory would
// serve nobody.
[[nodiscard]] std::uint64_t memory_bytes() noexcept;

}  // namespace numapool::platform::unsupported
