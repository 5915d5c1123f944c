// Reads the placement of a range of pages, for allocation and placement().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "numapool/placement.hpp"
#include "numapool/size_text.hpp"
#include "platform/memory.hpp"

namespace numapool {

// The platform's answer about a range, as the core's Placement.
[[nodiscard]] Placement look(const void* address, std::size_t length, const platform::Pages& pages,
                             platform::Precision precision);

// The placement of several ranges together.
class PlacementSum {
 public:
  void add(const Placement& part);
  // Where nothing was added: no bytes, in base pages.
  [[nodiscard]] Placement take();

 private:
  Placement sum_;
};

// The placement of `bytes` after a move that knows of `there_bytes` that they are on the node.
// Nothing unless that is all of them: then another look must tell. Nor if the look before the move
// missed a page: the size of the pages that it told is not that of all.
[[nodiscard]] std::optional<Placement> after_move(const Placement& before, int node,
                                                  std::uint64_t bytes, std::uint64_t there_bytes);

}  // namespace numapool
