// Where an allocation is, and which step of the chain placed it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace numapool {

// The step of the chain that an allocation used.
enum class AllocationStep : std::uint8_t {
  kPreferred = 0,  // all resident bytes are on the node that was asked for
  kNearest = 1,    // all resident bytes are on one other node, the nearest that could hold them
  kAny = 2,        // split over nodes, or on a node that the chain did not choose
  kUnbound = 3,    // the system accepted no policy: first touch decided
};

struct Placement {
  std::map<int, std::uint64_t> bytes_by_node;
  std::uint64_t not_resident_bytes = 0;
  std::uint64_t unknown_bytes = 0;  // resident, but this process may not see on which node
  std::size_t page_size_bytes = 0;  // size of the largest page found
  std::string method;  // the source: "move_pages", "get_mempolicy", "numa_maps", "unknown"

  // The node that holds all resident bytes; empty if they are split or unknown, or there are none.
  [[nodiscard]] std::optional<int> sole_node() const;
  // The node that holds the most bytes (of equals, the lowest id); empty if none is known.
  [[nodiscard]] std::optional<int> majority_node() const;
  [[nodiscard]] std::uint64_t bytes_on(int node) const;
  [[nodiscard]] bool wholly_on(int node, std::uint64_t bytes) const {
    return bytes_on(node) == bytes;
  }
};

}  // namespace numapool
