// Allocates memory along the chain preferred nodes -> nearest by distance -> any, and reports the
// step that was used. Before the chain takes a node that is farther away, it splits the request
// over the nearer nodes.
//
// No page of an allocation is ever populated under a strict policy, so no allocation can invoke the
// policy-constrained OOM killer. A request that the machine or its cgroups cannot hold is refused
// before any page is touched. docs/architecture.md describes the algorithm; its sources are
// mbind(2), madvise(2) and move_pages(2).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/node_ids.hpp"
#include "numapool/topology.hpp"

namespace numapool {

// Below this size, looking at free memory costs more than it saves.
inline constexpr std::size_t kLookBytes = std::size_t{1} << 20;

struct PageRequest {
  enum class Kind { kAuto, kBase, kTransparent, kHugetlb };
  Kind kind = Kind::kAuto;
  std::size_t hugetlb_bytes = 0;
};

struct AllocationRequest {
  std::size_t size_bytes = 0;
  NodeIds nodes;  // any of them, nearest to the calling thread first; empty: the thread's own node
  PageRequest page;
  bool strict = false;
  bool populate = true;
  bool mlock = false;
  bool core_dump = true;  // false: core dumps leave this memory out
};

struct InterleaveRequest {
  std::size_t size_bytes = 0;
  std::vector<int> nodes;         // empty: every usable node
  std::vector<unsigned> weights;  // one per node, by ascending node; empty: equal, or `weighted`
  bool weighted = false;  // use the system's weights; `weights`, if given, must agree with them
  PageRequest page;
  bool strict = false;
  bool populate = true;
  bool mlock = false;
  bool core_dump = true;
};

// Throws Error: kNodeNotFound if the machine does not have the node, kPlacement if the node has no
// memory or this process may not use it.
void require_usable(const Topology& topology, int node);

// Why an allocation got less placement than it asked for. The Python layer warns once per cause.
struct Degradation {
  enum class Cause { kPolicyRefused, kNotVerified };
  Cause cause;
  std::string message;
};

struct Allocation {
  Block block;
  std::vector<Degradation> degradations;
};

// Thread-safe: its only state is the topology it was made with, if any.
class Allocator {
 public:
  // Follows the running machine: it looks at the machine again if a node seems unusable, or if an
  // outdated topology could explain an error.
  Allocator() = default;
  // Uses a topology that never changes; a null topology means the same as Allocator().
  explicit Allocator(SharedTopology topology) : topology_(std::move(topology)) {}

  // Throws Error: kInvalidArgument, kNodeNotFound, kNoMemory, kPlacement (strict only),
  // kUnsupported, kSystem (mlock, core_dump), kInterrupted. After an error all pages are back with
  // the system.
  [[nodiscard]] Allocation allocate(const AllocationRequest& request,
                                    const InterruptCheck& check) const;
  [[nodiscard]] Allocation allocate_interleaved(const InterleaveRequest& request,
                                                const InterruptCheck& check) const;
  // Tries the preferred nodes alone. Returns no allocation if they have no memory or cannot hold
  // all of it. If the system accepts no policy at all, returns what allocate() would. Not for
  // strict requests.
  struct Attempt {
    std::optional<Allocation> allocation;
    std::string reason;  // why there is no allocation
  };
  [[nodiscard]] Attempt try_preferred(const AllocationRequest& request,
                                      const InterruptCheck& check) const;
  // Splits the request over the nodes that are at most as far from the preferred ones as
  // `farthest`. Returns no allocation if they cannot hold all of it together. For requests that no
  // single node can hold; not for strict ones.
  [[nodiscard]] Attempt try_as_far_as(const AllocationRequest& request, int farthest,
                                      const InterruptCheck& check) const;
  // The machine as last seen.
  [[nodiscard]] SharedTopology topology() const {
    return topology_ != nullptr ? topology_ : current_topology();
  }
  // The same, for work on a node.
  [[nodiscard]] SharedTopology topology_for(int node) const {
    return topology_ != nullptr ? topology_ : numapool::topology_for(node);
  }

 private:
  template <class Work>
  auto on_machine(const SharedTopology& topology, const Work& work) const;
  [[nodiscard]] SharedTopology changed_since(const Topology& seen) const;
  void require_current(const Topology& topology, const std::string& reason) const;
  [[nodiscard]] SharedTopology topology_for(const NodeIds& nodes) const;

  SharedTopology topology_;
};

}  // namespace numapool
