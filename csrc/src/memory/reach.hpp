// How far a request may go: the usable nodes by distance, and whether some of them can hold it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "numapool/topology.hpp"
#include "platform/memory.hpp"

namespace numapool {

// The usable nodes in groups of equal distance from `node`, nearest first; `node` itself is a group
// of its own. Nodes that an inherited bind leaves out are none of them, unless `node` is such a
// one: it was named. Throws Error(kNodeNotFound).
[[nodiscard]] std::vector<std::vector<int>> nodes_by_distance(const Topology& topology, int node);

// What the nodes could still hold together: free memory and clean file pages. Nothing where that is
// unknown, as for reserved huge pages, which are counted apart from the memory of a node.
[[nodiscard]] std::optional<std::uint64_t> room_on(std::span<const int> nodes,
                                                   const platform::Pages& pages);

// Whether so many bytes of pages may be moved to the nodes. Where there is little cache to reclaim,
// the memory that the kernel keeps for itself does not count: it logs a trace for each page that it
// is told to move and finds no room for.
[[nodiscard]] bool has_room_to_move(std::span<const int> nodes, std::uint64_t bytes,
                                    const platform::Pages& pages);

// False where the nodes certainly cannot hold so much together. Below kLookBytes it does not look.
[[nodiscard]] bool may_hold(std::span<const int> nodes, std::uint64_t bytes,
                            const platform::Pages& pages);

}  // namespace numapool
