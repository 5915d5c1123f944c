// The nodes in a request: one, several, or none.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace numapool {

// Ids, ascending, without duplicates. Empty means that the request names no node. Whether the
// machine has these nodes is checked by the function that gets the request.
class NodeIds {
 public:
  NodeIds() = default;
  NodeIds(int node) : ids_{node} {}  // NOLINT: implicit by design, as most requests name one node
  explicit NodeIds(std::vector<int> ids) : ids_(std::move(ids)) {
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
  }

  [[nodiscard]] bool empty() const noexcept { return ids_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return ids_.size(); }
  [[nodiscard]] const std::vector<int>& ids() const noexcept { return ids_; }
  [[nodiscard]] auto begin() const noexcept { return ids_.begin(); }
  [[nodiscard]] auto end() const noexcept { return ids_.end(); }
  [[nodiscard]] bool contains(int node) const noexcept {
    return std::binary_search(ids_.begin(), ids_.end(), node);
  }

 private:
  std::vector<int> ids_;
};

}  // namespace numapool
