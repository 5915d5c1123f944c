// Rows of distances, and which nodes their columns are for.
#pragma once

#include <optional>
#include <vector>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/machine/topology_notes.hpp"

namespace numapool::platform {

class DistanceRows {
 public:
  // `nodes` is the folder of all nodes. Both must outlive this.
  DistanceRows(const Folder& nodes, const std::vector<int>& online) noexcept
      : nodes_(nodes), online_(online) {}

  // The distances from a node to every node of `online`, 0 where its row has no column for one;
  // empty without a row that makes sense, which is noted.
  [[nodiscard]] std::vector<int> read(const Folder& node, Notes& notes);

 private:
  [[nodiscard]] const std::vector<int>* columns_of(std::size_t count);

  const Folder& nodes_;
  const std::vector<int>& online_;
  std::optional<std::vector<int>> possible_;
  std::optional<std::vector<int>> folders_;
};

}  // namespace numapool::platform
