// The NUMA nodes of a machine: CPUs, memory, distances, and which of them this process may use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/topology.hpp"

namespace numapool {

using platform::MemoryKind;

struct Node {
  int node_id = 0;
  std::vector<int> cpus;  // online, ascending; empty for memory without CPUs (CXL, HBM)
  // 0 for CPUs without memory; nothing where the system does not say how much there is.
  std::optional<std::uint64_t> total_memory_bytes = 0;
  std::optional<int> memory_tier;
  // HMAT figures of the node's best initiators; nothing unless the firmware gives them.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
  // The memory is the machine's: the kernel has not initialized all of the node's yet.
  bool memory_of_machine = false;
  MemoryKind kind = MemoryKind::kUnknown;
  std::string kind_evidence;  // how the kind is known, or why it is not
  // None of the memory is for the kernel's own use (ZONE_MOVABLE).
  bool movable_only = false;

  bool operator==(const Node&) const = default;

  // True unless the system says that there is none.
  [[nodiscard]] bool has_memory() const noexcept { return total_memory_bytes != 0; }
  // Memory that was added to the machine, slower than what nodes with CPUs have: CXL, virtio-mem.
  [[nodiscard]] bool is_expander() const noexcept {
    return movable_only && cpus.empty() && kind != MemoryKind::kHbm && kind != MemoryKind::kDevice;
  }
};

// "dram", "device", "cxl", "pmem", "hbm" or "unknown".
[[nodiscard]] const char* kind_text(MemoryKind kind) noexcept;

// All that a topology says.
struct TopologyParts {
  std::string root;
  std::vector<Node> nodes;
  std::vector<int> allowed;
  std::vector<int> possible;
  std::vector<std::vector<int>> distances;
  std::vector<std::string> notes;
  bool distances_assumed = false;
  std::vector<int> defaults;

  bool operator==(const TopologyParts&) const = default;
};

// A snapshot; immutable and therefore safe to share between threads.
class Topology {
 public:
  // The parts of a topology that was written elsewhere. Throws Error(kInvalidArgument) where they
  // do not fit each other.
  explicit Topology(TopologyParts parts);
  // The running machine. `defaults` are words for its default nodes, see default_nodes(); without
  // them the environment's NUMAPOOL_DEFAULT_NODES says which, where it is set. Throws
  // Error(kTopology, kSystem), and Error(kInvalidArgument) for words that name no usable node; the
  // same in the environment is a note, and default_nodes_problem().
  [[nodiscard]] static Topology detect(const std::optional<std::string>& defaults = {});
  // The machine whose /sys and /proc are under `root`. What makes no sense is left out, with a
  // note; with `strict` it is Error(kTopology), which names the file and its text. Throws
  // Error(kSystem) and, where there is no machine under `root`, Error(kTopology); for `defaults`
  // as above.
  [[nodiscard]] static Topology from_sysfs(const std::string& root, bool strict = false,
                                           const std::optional<std::string>& defaults = {});

  [[nodiscard]] const std::string& root() const noexcept { return parts_.root; }
  [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return parts_.nodes; }
  [[nodiscard]] const std::vector<int>& allowed() const noexcept { return parts_.allowed; }
  // Nodes that may come online, and those that are, ascending.
  [[nodiscard]] const std::vector<int>& possible() const noexcept { return parts_.possible; }
  // What was left out, why, and what stands in for it; empty on a machine that is in order.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return parts_.notes; }
  // True where the system gave no distances, or not all: 10 on the diagonal, elsewhere 20, or the
  // largest that it gave.
  [[nodiscard]] bool distances_assumed() const noexcept { return parts_.distances_assumed; }

  // Whether the two say the same, notes included.
  bool operator==(const Topology&) const = default;

  // nullptr where there is no such node online.
  [[nodiscard]] const Node* find(int node_id) const noexcept;
  // Throws Error(kNodeNotFound) that names the nodes there are.
  [[nodiscard]] const Node& node(int node_id) const;
  // ACPI SLIT units: 10 is local. Throws Error(kNodeNotFound).
  [[nodiscard]] int distance(int from, int to) const;
  // The distances from every node to every node, in the order of nodes().
  [[nodiscard]] const std::vector<std::vector<int>>& distances() const noexcept {
    return parts_.distances;
  }
  // Whether the node has memory that this process may use. A node whose memory is unknown has.
  [[nodiscard]] bool is_usable(int node_id) const noexcept;
  // The nodes of which that is true, ascending.
  [[nodiscard]] std::vector<int> usable_nodes() const;
  // The usable nodes that memory comes from where no node is named, ascending: those that words
  // said ("0-1,4"; "!2": all but that; "all"), else all but the memory of devices. Where that
  // leaves none, all usable nodes.
  [[nodiscard]] const std::vector<int>& default_nodes() const noexcept { return parts_.defaults; }
  [[nodiscard]] bool is_default(int node_id) const noexcept;
  // What is wrong with NUMAPOOL_DEFAULT_NODES, in words; empty where nothing is.
  [[nodiscard]] const std::string& default_nodes_problem() const noexcept { return problem_; }
  // The usable nodes by distance from `node_id`, then by id. Throws Error(kNodeNotFound).
  [[nodiscard]] std::vector<int> nearest(int node_id) const;
  // Those of `nodes` in the order in which memory for `node_id` is taken from them: itself, then by
  // distance and id, expanders after all others. Throws Error(kNodeNotFound).
  [[nodiscard]] std::vector<int> order_among(int node_id, std::vector<int> nodes) const;
  // order_among() of the default nodes, and of `node_id` itself if it is usable.
  [[nodiscard]] std::vector<int> memory_order(int node_id) const;
  // The node that has the CPU (the lowest of several that claim it); nothing where none does.
  [[nodiscard]] std::optional<int> node_of_cpu(int cpu) const noexcept;

 private:
  Topology() = default;
  [[nodiscard]] std::size_t index_of(int node_id) const;
  void complete_distances();
  void add_online_to_possible();
  // Without words: all but the memory of devices. Returns what is wrong with the words.
  [[nodiscard]] std::string choose_defaults(const std::optional<std::string>& words);
  void require_defaults(const std::optional<std::string>& words);

  TopologyParts parts_;
  std::string problem_;
};

// Free memory of a node of the machine under `root`, read now. Throws Error(kSystem, kTopology).
[[nodiscard]] std::uint64_t free_memory_bytes(const std::string& root, int node_id);

// "node 1", "nodes 0, 2".
[[nodiscard]] std::string nodes_text(const std::vector<int>& ids);

}  // namespace numapool
