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

bool has_elsewhere(const Placement& placement, int node) {
  return std::ranges::any_of(placement.bytes_by_node,
                             [node](const auto& one) { return one.first != node; });
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
  out.before = placement_of(region);
  const CountedMove counted;
  // Returns the bytes that are known to be on the node then.
  const auto move = [&](const platform::Pages& pages) -> std::uint64_t {
    const auto [refused, there] = move_in_parts(region, pages, node, check);
    if (!refused) return there;
    // If pages are never moved, those that are there already do not have to be.
    if (platform::is_no_job(*refused) && out.before.wholly_on(node, region.length)) return 0;
    const ErrorKind kind =
        platform::is_denied(*refused) ? ErrorKind::kUnsupported : ErrorKind::kSystem;
    throw Error(kind,
                "cannot migrate " + size_text(region.length) + " to node " + std::to_string(node) +
                    ": " + describe(*refused) + "; the buffer keeps its contents where they are",
                refused->code);
  };
  const std::uint64_t there = move(region.pages);
  const auto known = after_move(out.before, node, region.length, there);
  out.placement = known ? *known : placement_of(region);
  if (region.pages.kind == platform::PageKind::kTransparent && has_elsewhere(out.placement, node)) {
    // Blocks that are huge pages in part only.
    static_cast<void>(move({platform::PageKind::kBase, platform::base_page_bytes()}));
    out.placement = placement_of(region);
  }
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
