// The limits on memory that this process may still use.
#include "numapool/limits.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "memory/populate.hpp"
#include "numapool/error.hpp"
#include "numapool/size_text.hpp"
#include "numapool/topology.hpp"

namespace numapool {

std::optional<platform::Bound> least_bound(std::span<const platform::Bound> bounds,
                                           PolicyOf policy) {
  const platform::Bound* least = nullptr;
  for (const platform::Bound& one : bounds) {
    if (!one.bytes || (one.thread_policy && policy == PolicyOf::kMapping)) continue;
    if (least == nullptr || *one.bytes < *least->bytes) least = &one;
  }
  return least == nullptr ? std::nullopt : std::optional(*least);
}

std::vector<platform::Bound> bounds_without(std::span<const int> left_out) {
  std::vector<platform::Bound> bounds = platform::memory_bounds();
  if (left_out.empty()) return bounds;
  for (platform::Bound& bound : bounds) {
    if (!bound.bytes) continue;
    std::vector<int> counted;
    for (const int node : left_out) {
      const bool listed =
          std::find(bound.nodes.begin(), bound.nodes.end(), node) != bound.nodes.end();
      const auto room = platform::node_room(node);
      if (!room || (!bound.whole_machine && !listed)) continue;
      const std::uint64_t theirs = room.value().free_bytes + room.value().clean_file_bytes;
      bound.bytes = *bound.bytes - std::min(*bound.bytes, theirs);
      counted.push_back(node);
    }
    if (!counted.empty())
      bound.limit += ", without " + nodes_text(counted) + " (used only if you name it)";
  }
  return bounds;
}

void require_available(std::uint64_t bytes, const char* what, PolicyOf policy,
                       std::span<const int> left_out) {
  const auto least = least_bound(bounds_without(left_out), policy);
  if (!least || *least->bytes >= bytes) return;
  throw Error(ErrorKind::kNoMemory,
              std::string(what) + size_text(bytes) + ": only " + size_text(*least->bytes) +
                  " are available to this process, limited by " + least->limit);
}

// The kernel maps more huge pages than a cgroup may use, and sends SIGBUS when they are touched.
// Reserving more pages does not help then.
void require_hugetlb(std::uint64_t bytes, const platform::Pages& pages) {
  const auto least = least_bound(platform::hugetlb_bounds(pages.bytes));
  if (!least || *least->bytes >= bytes) return;
  throw Error(ErrorKind::kNoMemory,
              "cannot allocate " + std::to_string(bytes / pages.bytes) + " huge pages of " +
                  size_text(pages.bytes) + ": this process may use " +
                  std::to_string(*least->bytes / pages.bytes) + " more, limited by " +
                  least->limit +
                  "; raise that limit (in Kubernetes: resources.limits of hugepages), or use "
                  "another page_size");
}

}  // namespace numapool
