// Reads the placement of a range of pages, for allocation and placement().
#pragma once

#include <cstddef>
#include <cstdint>

#include "numapool/placement.hpp"
#include "numapool/size_text.hpp"
#include "platform/memory.hpp"

namespace numapool {

// The platform's answer about a range, as the core's Placement.
[[nodiscard]] Placement look(const void* address, std::size_t length, const platform::Pages& pages,
                             platform::Precision precision);

// What a look would see after a move that left all of these bytes, which had been looked at before,
// on the node.
[[nodiscard]] Placement all_on(int node, std::uint64_t bytes, const Placement& before);

}  // namespace numapool
