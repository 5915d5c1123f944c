// One allocation's walk along the chain of nodes, on one mapping: one node in chain.cpp, several
// wanted nodes in chain_wanted.cpp, and the nodes beyond them in chain_beyond.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "numapool/buffer.hpp"
#include "numapool/topology.hpp"
#include "platform/memory.hpp"

namespace numapool {

class Chain {
 public:
  struct Outcome {
    bool placed = false;  // the step's promise holds; false: the mapping holds no usable memory
    AllocationStep step = AllocationStep::kUnbound;
    bool bound = false;
    std::optional<int> node_id;
    Placement placement;
    std::string reason;                       // why it is not placed, or not with certainty
    std::optional<platform::Failure> denied;  // the policy call was refused, as in some containers
    bool invalid = false;                     // the policy call does not accept a wanted node
  };

  // `wanted`: one node or several, the nearest first.
  Chain(const Topology& topology, std::vector<int> wanted, Mapping mapping, bool core_dump,
        const InterruptCheck& check);

  // Populates no page; only sets the policy that decides where pages will go.
  Outcome set_policy_only();
  // Places it on one wanted node that can hold all of it, else over the wanted nodes together, or
  // not at all.
  Outcome place_on_wanted(platform::Precision precision);
  // To be called after place_on_wanted() failed. For each distance in turn: one node that can hold
  // all of it, else all nodes up to that distance together.
  Outcome place_beyond_wanted(Outcome first);
  // Places it over these nodes, which are the nearest ones, or not at all. If they are all usable
  // nodes, the system may put pages wherever it finds room.
  Outcome split_over(std::span<const int> nodes, platform::Precision precision);

  [[nodiscard]] Mapping take_mapping() { return std::move(mapping_); }

 private:
  // Places the whole mapping on `node`, or not at all.
  Outcome place_on(int node, platform::Precision precision);
  Outcome place_unbound(platform::Failure denied);
  [[nodiscard]] bool is_wanted(int node) const;
  [[nodiscard]] bool wanted_hold_all(const Placement& seen) const;
  // Makes new pages prefer all wanted nodes. Returns false if only one node is wanted, or the
  // system has no policy for several; the policy then stays unchanged.
  bool prefer_wanted() const;  // NOLINT(modernize-use-nodiscard)
  struct Fit {
    std::optional<std::string> cannot;  // why the node could not hold the whole mapping
    bool roomy = true;                  // it can, and has free memory to spare
  };
  [[nodiscard]] Fit fit_on(int node) const;
  [[nodiscard]] platform::Status prefer(int node) const;
  void restore_preferred(int node) const;
  [[nodiscard]] Placement look_now(platform::Precision precision) const;
  void redo_with_base_pages(std::span<const int> nodes);
  [[nodiscard]] static bool has_free(int node, std::uint64_t bytes);
  // Moves pages from elsewhere to `nodes`, and prefers `home` again.
  Placement pull_onto(std::span<const int> nodes, int home, Placement seen,
                      platform::Precision precision);
  void empty();  // no page is resident afterwards
  [[nodiscard]] std::vector<int> cpus_for(int node) const;
  Outcome settle(AllocationStep step, Placement placement, const std::string& reason) const;

  const Topology& topology_;
  std::vector<int> wanted_;
  std::vector<int> usable_;  // of those
  Mapping mapping_;
  bool core_dump_;
  const InterruptCheck& check_;
  std::vector<std::vector<int>> groups_;  // of nodes_by_distance()
  std::vector<int> order_;                // the same in one list
  std::vector<int> left_out_;             // if no memory may stay
};

[[noreturn]] void fail_policy(const std::vector<int>& nodes, const platform::Failure& failure);

// For reasons: "2 MiB on node 0, 6 MiB on node 1".
[[nodiscard]] std::string spread_text(const Placement& placement);
[[nodiscard]] std::uint64_t bytes_elsewhere(const Placement& placement, std::span<const int> nodes);

}  // namespace numapool
