// Where an allocation ended up, and how it got there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace numapool {

// Which step of the chain an allocation used.
enum class AllocationStep : std::uint8_t {
  kPreferred = 0,  // every resident byte is on the node asked for
  kNearest = 1,    // every resident byte is on one other node, the nearest that could hold it
  kAny = 2,        // split over nodes, or on a node that the chain did not choose
  kUnbound = 3,    // the system accepted no policy: first touch decided
};

struct Placement {
  std::map<int, std::uint64_t> bytes_by_node;
  std::uint64_t not_resident_bytes = 0;
  std::uint64_t unknown_bytes = 0;  // resident, but this process may not see where
  std::size_t page_size_bytes = 0;  // of the largest page met
  std::string method;  // who was asked: "move_pages", "get_mempolicy", "numa_maps", "unknown"

  // The node that holds every resident byte; nothing if they are split, unknown or none.
  [[nodiscard]] std::optional<int> sole_node() const;
  // The node that holds the most bytes (the lowest id of equals); nothing where none is known.
  [[nodiscard]] std::optional<int> majority_node() const;
  [[nodiscard]] std::uint64_t bytes_on(int node) const;
  [[nodiscard]] bool wholly_on(int node, std::uint64_t bytes) const {
    return bytes_on(node) == bytes;
  }
};

}  // namespace numapool
