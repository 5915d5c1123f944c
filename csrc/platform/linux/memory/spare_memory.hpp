// The part of a node's free memory that ordinary requests may take, by /proc/zoneinfo.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace numapool::platform {

// The free pages above the low watermark and the protection of each zone, summed over the zones of
// the node; empty if the text has no zone of it. That is how much get_page_from_freelist in
// mm/page_alloc.c gives a request before it has to reclaim.
[[nodiscard]] std::optional<std::uint64_t> parse_spare_pages(std::string_view zoneinfo, int node);

}  // namespace numapool::platform
