// The little that POSIX tells of a machine, for systems that numapool knows nothing else about.
#pragma once

#include <cstddef>
#include <cstdint>

namespace numapool::platform::unsupported {

// 4096 where the system does not say.
[[nodiscard]] std::size_t page_bytes() noexcept;

// If the system does not tell, the size of an address space: a node without memory would be
// useless.
[[nodiscard]] std::uint64_t memory_bytes() noexcept;

}  // namespace numapool::platform::unsupported
