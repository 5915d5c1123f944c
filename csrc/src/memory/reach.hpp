// How far a request may go: the usable nodes by distance, and whether some of them can hold it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "numapool/node_ids.hpp"
#include "numapool/topology.hpp"
#include "platform/memory.hpp"

namespace numapool {

// The usable nodes of `wanted`, in its order, followed by the nodes that may be used unasked, in
// groups of equal distance from the first of `wanted`: nearest first, expanders last. Throws
// Error(kNodeNotFound).
[[nodiscard]] std::vector<std::vector<int>> nodes_by_distance(const Topology& topology,
                                                              std::span<const int> wanted);
[[nodiscard]] inline std::vector<std::vector<int>> nodes_by_distance(const Topology& topology,
                                                                     int node) {
  return nodes_by_distance(topology, std::span<const int>(&node, 1));
}

// The nodes by their distance from `here`, then by id. Throws Error(kNodeNotFound).
[[nodiscard]] std::vector<int> nearest_first(const Topology& topology, int here,
                                             const NodeIds& nodes);

// The usable nodes that are neither in `order` nor used unasked: the memory of devices, and nodes
// that an operator excludes. No page may stay on them.
[[nodiscard]] std::vector<int> left_out(const Topology& topology, std::span<const int> order);

// Why those nodes do not help, for errors.
[[nodiscard]] std::string left_out_text(std::span<const int> order,
                                        const std::vector<int>& left_out);

// How much the nodes can still hold together: free memory and clean file pages. Empty if that is
// unknown, as for reserved huge pages, which are counted separately from a node's memory.
[[nodiscard]] std::optional<std::uint64_t> room_on(std::span<const int> nodes,
                                                   const platform::Pages& pages);

// Whether that many bytes of pages may be moved to the nodes. If there is little cache to reclaim,
// the kernel's reserve does not count as room: the kernel logs a trace for each page that it is
// told to move and has no room for.
[[nodiscard]] bool has_room_to_move(std::span<const int> nodes, std::uint64_t bytes,
                                    const platform::Pages& pages);

// False if the nodes certainly cannot hold that much together. Below kLookBytes, it does not look.
[[nodiscard]] bool may_hold(std::span<const int> nodes, std::uint64_t bytes,
                            const platform::Pages& pages);

}  // namespace numapool
