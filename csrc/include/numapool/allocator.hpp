// Allocation along the chain preferred nodes -> nearest by distance -> any, and the step it used.
// Near goes before far: what no node holds alone is split over the nodes up to a distance before
// one that is farther away is taken.
//
// No strict policy is ever in force while a page of the memory is still to come, so no allocation
// can invoke the policy-constrained OOM killer; what the machine or its cgroups cannot hold is
// refused before a page is touched. docs/architecture.md tells the algorithm; mbind(2), madvise(2),
// move_pages(2) are its sources.
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

// Below this size looking at free memory costs more than it saves.
inline constexpr std::size_t kLookBytes = std::size_t{1} << 20;

struct PageRequest {
  enum class Kind { kAuto, kBase, kTransparent, kHugetlb };
  Kind kind = Kind::kAuto;
  std::size_t hugetlb_bytes = 0;
};

struct AllocationRequest {
  std::size_t size_bytes = 0;
  NodeIds nodes;  // memory of any of them, nearest to the calling thread first; none: its own
  PageRequest page;
  bool strict = false;
  bool populate = true;
  bool mlock = false;
  bool core_dump = true;  // false: core dumps leave the memory out
};

struct InterleaveRequest {
  std::size_t size_bytes = 0;
  std::vector<int> nodes;         // empty: every usable node
  std::vector<unsigned> weights;  // one per node, by ascending node; empty: see weighted
  bool weighted = false;  // by the system's weights, which `weights` (if any) must agree with
  PageRequest page;
  bool strict = false;
  bool populate = true;
  bool mlock = false;
  bool core_dump = true;
};

// Throws Error: kNodeNotFound for a node the machine does not have, kPlacement for one without
// memory or not allowed to this process.
void require_usable(const Topology& topology, int node);

// Why memory was handed out with less placement than asked for. The Python layer warns once per
// cause.
struct Degradation {
  enum class Cause { kPolicyRefused, kNotVerified };
  Cause cause;
  std::string message;
};

struct Allocation {
  Block block;
  std::vector<Degradation> degradations;
};

// Thread-safe: it holds only the topology it was made with, if any.
class Allocator {
 public:
  // Over the running machine, which it follows: a node that seems unusable, and an error that an
  // outdated topology may explain, are a reason to look at the machine once more.
  Allocator() = default;
  // Over a topology that never changes; nothing: as Allocator().
  explicit Allocator(SharedTopology topology) : topology_(std::move(topology)) {}

  // Throws Error: kInvalidArgument, kNodeNotFound, kNoMemory, kPlacement (strict only),
  // kUnsupported, kSystem (mlock, core_dump), kInterrupted. On any of them every page is back with
  // the system.
  [[nodiscard]] Allocation allocate(const AllocationRequest& request,
                                    const InterruptCheck& check) const;
  [[nodiscard]] Allocation allocate_interleaved(const InterleaveRequest& request,
                                                const InterruptCheck& check) const;
  // The preferred nodes alone; nothing where they cannot hold all of it, or have no memory. Where
  // the system accepts no policy at all, what allocate() gives. Not for strict requests.
  struct Attempt {
    std::optional<Allocation> allocation;
    std::string reason;  // why there is none
  };
  [[nodiscard]] Attempt try_preferred(const AllocationRequest& request,
                                      const InterruptCheck& check) const;
  // Split over the nodes that are no farther from the preferred ones than `farthest` is; nothing
  // where they cannot hold all of it together. For what none of them holds alone, not strict.
  [[nodiscard]] Attempt try_as_far_as(const AllocationRequest& request, int farthest,
                                      const InterruptCheck& check) const;
  // The machine as it was last seen.
  [[nodiscard]] SharedTopology topology() const {
    return topology_ != nullptr ? topology_ : current_topology();
  }
  // The same for work on a node.
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
