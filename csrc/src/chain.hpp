// One allocation's walk along the chain of nodes, on one mapping.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/topology.hpp"
#include "platform/memory.hpp"

namespace numapool {

class Chain {
 public:
  struct Outcome {
    bool placed = false;  // the step's promise holds; false: the mapping is as good as empty
    AllocationStep step = AllocationStep::kUnbound;
    bool bound = false;
    std::optional<int> node_id;
    Placement placement;
    std::string reason;                       // why it is not placed, or only with less certainty
    std::optional<platform::Failure> denied;  // the policy call was refused: containers
  };

  Chain(const Topology& topology, int preferred, Mapping mapping, const InterruptCheck& check);

  // No page is populated: the policy says where they will go.
  Outcome set_policy_only();
  // The whole mapping on `node`, or not at all.
  Outcome place_on(int node, platform::Precision precision);
  // After place_on(preferred) failed: the next nodes by distance, then wherever there is room.
  Outcome place_beyond_preferred(Outcome first);

  [[nodiscard]] Mapping take_mapping() { return std::move(mapping_); }

 private:
  Outcome place_unbound(platform::Failure denied);
  [[nodiscard]] std::optional<std::string> cannot_hold(int node) const;
  [[nodiscard]] platform::Status prefer(int node) const;
  void restore_preferred(int node) const;
  [[nodiscard]] Placement look_now(platform::Precision precision) const;
  void redo_with_base_pages(int node);
  [[nodiscard]] static bool has_free(int node, std::uint64_t bytes);
  Placement pull_onto(int node, Placement seen, platform::Precision precision);
  [[nodiscard]] std::vector<int> cpus_for(int node) const;
  void empty();
  Outcome settle(AllocationStep step, Placement placement, const std::string& reason) const;

  const Topology& topology_;
  int preferred_;
  Mapping mapping_;
  const InterruptCheck& check_;
  std::vector<int> order_;  // usable nodes by distance from the preferred one
};

}  // namespace numapool
