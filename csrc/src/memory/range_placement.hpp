// Reads the placement of a range of pages, for allocation and placement().
#pragma once

#include <cstddef>

#include "numapool/placement.hpp"
#include "numapool/size_text.hpp"
#include "platform/memory.hpp"

namespace numapool {

// The platform's answer about a range, as the core's Placement.
[[nodiscard]] Placement look(const void* address, std::size_t length, const platform::Pages& pages,
                             platform::Precision precision);

}  // namespace numapool
