// Reads where a block's pages are, and moves them.
#include "numapool/placement.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "memory/known_place.hpp"
#include "memory/move_parts.hpp"
#include "memory/range_placement.hpp"
#include "numapool/buffer.hpp"
#include "numapool/error.hpp"

namespace numapool {
namespace {

std::string method_name(platform::Method method) {
  switch (method) {
    case platform::Method::kMovePages:
      return "move_pages";
    case platform::Method::kGetMempolicy:
      return "get_mempolicy";
    case platform::Method::kNumaMaps:
      return "numa_maps";
    case platform::Method::kQueryWorkingSet:
      return "query_working_set";
    case platform::Method::kOnlyNode:
      return "only_node";
    case platform::Method::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace

std::optional<int> Placement::sole_node() const {
  if (bytes_by_node.size() != 1 || unknown_bytes != 0) return std::nullopt;
  return bytes_by_node.begin()->first;
}

std::optional<int> Placement::majority_node() const {
  const auto most =
      std::max_element(bytes_by_node.begin(), bytes_by_node.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == bytes_by_node.end()) return std::nullopt;
  return most->first;
}

std::uint64_t Placement::bytes_on(int node) const {
  const auto found = bytes_by_node.find(node);
  return found == bytes_by_node.end() ? 0 : found->second;
}

Placement look(const void* address, std::size_t length, const platform::Pages& pages,
               platform::Precision precision) {
  const platform::Residency seen = platform::residency(address, length, pages, precision);
  Placement out;
  out.bytes_by_node.insert(seen.bytes_by_node.begin(), seen.bytes_by_node.end());
  out.not_resident_bytes = seen.not_resident_bytes;
  out.unknown_bytes = seen.unknown_bytes;
  out.page_size_bytes = seen.page_bytes;
  out.method = method_name(seen.method);
  return out;
}

void PlacementSum::add(const Placement& part) {
  for (const auto& [node, bytes] : part.bytes_by_node) sum_.bytes_by_node[node] += bytes;
  sum_.not_resident_bytes += part.not_resident_bytes;
  sum_.unknown_bytes += part.unknown_bytes;
  sum_.page_size_bytes = std::max(sum_.page_size_bytes, part.page_size_bytes);
  if (sum_.method.empty() || part.method == "unknown") sum_.method = part.method;
}

Placement PlacementSum::take() {
  sum_.page_size_bytes = std::max(sum_.page_size_bytes, platform::base_page_bytes());
  if (sum_.method.empty()) sum_.method = method_name(platform::Method::kUnknown);
  return std::exchange(sum_, {});
}

Placement placement_of(const Region& region) {
  return look(region.address, region.length, region.pages, platform::Precision::kExact);
}

std::optional<Placement> after_move(const Placement& before, int node, std::uint64_t bytes,
                                    std::uint64_t there_bytes) {
  if (there_bytes != bytes || before.not_resident_bytes != 0 || before.unknown_bytes != 0)
    return std::nullopt;
  Placement out;
  out.bytes_by_node[node] = bytes;
  out.page_size_bytes = before.page_size_bytes;
  out.method = method_name(platform::Method::kMovePages);
  return out;
}

Migration migrate(const Region& region, int node, const InterruptCheck& check) {
  Migration out;
  const CountedMove counted;
  MovedRegion moved = move_in_parts(region, node, check);
  if (const auto& refused = moved.failure) {
    // If pages are never moved, those that are there already do not have to be.
    if (platform::is_no_job(*refused)) moved.before = moved.after = placement_of(region);
    if (!platform::is_no_job(*refused) || !moved.before.wholly_on(node, region.length))
      throw Error(platform::is_denied(*refused) ? ErrorKind::kUnsupported : ErrorKind::kSystem,
                  "cannot migrate " + size_text(region.length) + " to node " +
                      std::to_string(node) + ": " + describe(*refused) +
                      "; the buffer keeps its contents where they are",
                  refused->code);
  }
  out.before = std::move(moved.before);
  out.placement = std::move(moved.after);
  // The policy is set last, so that a refused or interrupted move leaves it unchanged, and new
  // pages go where the others are.
  const std::array<int, 1> target{node};
  const platform::Status policy = platform::set_policy(region.address, region.length,
                                                       platform::Policy::kPreferred, target, false);
  out.place.requested_node = node;
  out.place.bound = policy.ok();
  out.place.node_id = out.placement.majority_node();
  if (out.placement.bytes_by_node.empty() && policy.ok()) out.place.node_id = node;  // new pages
  if (!policy) {
    out.place.step = AllocationStep::kUnbound;
  } else if (out.placement.bytes_by_node.empty() || out.placement.sole_node() == node) {
    out.place.step = AllocationStep::kPreferred;
  } else {
    out.place.step = out.placement.sole_node() ? AllocationStep::kNearest : AllocationStep::kAny;
  }
  return out;
}

}  // namespace numapool
