// Rows of distances, and which nodes their columns are for.
#include "platform/linux/machine/node_distances.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/machine/whole_machine.hpp"

namespace numapool::platform {
namespace {

constexpr int kLeastDistance = 10;  // ACPI 6.5, 5.2.17: 0 to 9 are reserved and have no meaning
constexpr const char* kLeftOut = "the row is left out";

std::optional<std::vector<int>> parse_row(std::string_view text) {
  std::vector<int> row;
  std::string_view rest = trimmed(text);
  while (!rest.empty()) {
    int distance = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), distance);
    if (error != std::errc{} || distance < kLeastDistance ||
        (end != rest.data() + rest.size() && *end != ' ' && *end != '\t')) {
      return std::nullopt;
    }
    row.push_back(distance);
    rest = trimmed(rest.substr(static_cast<std::size_t>(end - rest.data())));
  }
  return row;
}

}  // namespace

// The kernel prints a column for each node that is online (drivers/base/node.c); copies of a
// machine, and a list of nodes that was cut short, leave rows with a column for each possible node,
// or for each that has a folder.
const std::vector<int>* DistanceRows::columns_of(std::size_t count) {
  if (count == online_.size()) return &online_;
  if (!possible_) {
    auto ids = read_ids(nodes_, "possible", kLargestNodeId, "");
    possible_ = ids && ids.value() ? *std::move(ids).value() : std::vector<int>{};
  }
  if (count == possible_->size()) return &*possible_;
  if (!folders_) folders_ = numbered(nodes_.names(), "node", kLargestNodeId);
  return count == folders_->size() ? &*folders_ : nullptr;
}

std::vector<int> DistanceRows::read(const Folder& node, Notes& notes) {
  const auto text = node.read("distance");
  if (!text) {
    notes.add_unreadable(node, "distance", errno, kLeftOut);
    return {};
  }
  const auto row = parse_row(*text);
  if (!row) {
    notes.add(node.nonsense("distance", *text, "is no row of distances"), kLeftOut);
    return {};
  }
  if (row->empty()) return {};
  const std::string quoted(*text);  // the next read reuses its place
  const std::vector<int>* const columns = columns_of(row->size());
  if (columns == nullptr) {
    const std::string why = "has " + std::to_string(row->size()) +
                            " columns, not one for each of the " + std::to_string(online_.size()) +
                            " nodes that are online";
    notes.add(node.nonsense("distance", quoted, why.c_str()), kLeftOut);
    return {};
  }
  if (columns == &online_) return *row;
  std::vector<int> distances(online_.size(), 0);
  for (std::size_t i = 0; i < columns->size(); ++i) {
    const auto found = std::lower_bound(online_.begin(), online_.end(), (*columns)[i]);
    if (found != online_.end() && *found == (*columns)[i])
      distances[static_cast<std::size_t>(found - online_.begin())] = (*row)[i];
  }
  return distances;
}

}  // namespace numapool::platform
