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
  std::vector<int> cpus;  // online CPUs, ascending; empty for memory without CPUs (CXL, HBM)
  // 0 for CPUs without memory; empty if the system does not tell the size.
  std::optional<std::uint64_t> total_memory_bytes = 0;
  std::optional<int> memory_tier;
  // HMAT figures from the node's best initiators; empty unless the firmware has them.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
  // The size is the whole machine's: the kernel has not finished initializing the node's memory.
  bool memory_of_machine = false;
  MemoryKind kind = MemoryKind::kUnknown;
  std::string kind_evidence;  // how the kind is known, or why it is unknown
  // The kernel keeps none of its own data in this memory (all of it is ZONE_MOVABLE).
  bool movable_only = false;

  bool operator==(const Node&) const = default;

  // True unless the system says that the node has no memory.
  [[nodiscard]] bool has_memory() const noexcept { return total_memory_bytes != 0; }
  // Memory that was added to the machine and is slower than that of nodes with CPUs: CXL,
  // virtio-mem.
  [[nodiscard]] bool is_expander() const noexcept {
    return movable_only && cpus.empty() && kind != MemoryKind::kHbm && kind != MemoryKind::kDevice;
  }
};

// "dram", "device", "cxl", "pmem", "hbm" or "unknown".
[[nodiscard]] const char* kind_text(MemoryKind kind) noexcept;

// Everything that a topology tells.
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

// A snapshot. Immutable, and so safe to share between threads.
class Topology {
 public:
  // Makes a topology from parts. Throws Error(kInvalidArgument) if they do not fit together.
  explicit Topology(TopologyParts parts);
  // Reads the running machine. `defaults` is a list of words for its default nodes (see
  // default_nodes()); if absent, the environment variable NUMAPOOL_DEFAULT_NODES is used. Throws
  // Error(kTopology, kSystem), and Error(kInvalidArgument) if `defaults` selects no usable node.
  // The same mistake in the environment variable adds a note, and default_nodes_problem() tells it.
  [[nodiscard]] static Topology detect(const std::optional<std::string>& defaults = {});
  // Reads the machine whose /sys and /proc are under `root`. A file that makes no sense is left
  // out, with a note; with `strict` it is Error(kTopology), which names the file and quotes it.
  // Throws Error(kSystem), and Error(kTopology) if there is no machine under `root`; for `defaults`
  // as above.
  [[nodiscard]] static Topology from_sysfs(const std::string& root, bool strict = false,
                                           const std::optional<std::string>& defaults = {});

  [[nodiscard]] const std::string& root() const noexcept { return parts_.root; }
  [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return parts_.nodes; }
  [[nodiscard]] const std::vector<int>& allowed() const noexcept { return parts_.allowed; }
  // Possible nodes, and online nodes, ascending.
  [[nodiscard]] const std::vector<int>& possible() const noexcept { return parts_.possible; }
  // What was left out, why, and what is used instead; empty if nothing was.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return parts_.notes; }
  // True if the system gave no distances, or not all. Missing ones are 10 on the diagonal,
  // elsewhere 20 or the largest given distance.
  [[nodiscard]] bool distances_assumed() const noexcept { return parts_.distances_assumed; }

  // Whether both have the same contents, notes included.
  bool operator==(const Topology&) const = default;

  // nullptr if no such node is online.
  [[nodiscard]] const Node* find(int node_id) const noexcept;
  // Throws Error(kNodeNotFound), which lists the nodes of the machine.
  [[nodiscard]] const Node& node(int node_id) const;
  // ACPI SLIT units: 10 is local. Throws Error(kNodeNotFound).
  [[nodiscard]] int distance(int from, int to) const;
  // The distances between all nodes, in the order of nodes().
  [[nodiscard]] const std::vector<std::vector<int>>& distances() const noexcept {
    return parts_.distances;
  }
  // Whether the node has memory that this process may use. If its memory size is unknown, it counts
  // as having some.
  [[nodiscard]] bool is_usable(int node_id) const noexcept;
  // The usable nodes, ascending.
  [[nodiscard]] std::vector<int> usable_nodes() const;
  // The usable nodes for memory when a request names none, ascending. Words select them ("0-1,4";
  // "!2": all but node 2; "all"). Without words, these are all nodes but those with the memory of
  // devices. If that leaves none, all usable nodes.
  [[nodiscard]] const std::vector<int>& default_nodes() const noexcept { return parts_.defaults; }
  [[nodiscard]] bool is_default(int node_id) const noexcept;
  // What is wrong with NUMAPOOL_DEFAULT_NODES; empty if nothing is.
  [[nodiscard]] const std::string& default_nodes_problem() const noexcept { return problem_; }
  // The usable nodes, by distance from `node_id`, then by id. Throws Error(kNodeNotFound).
  [[nodiscard]] std::vector<int> nearest(int node_id) const;
  // `nodes` in the order in which memory for `node_id` is taken from them: the node itself, then
  // the others by distance and id, with expanders last. Throws Error(kNodeNotFound).
  [[nodiscard]] std::vector<int> order_among(int node_id, std::vector<int> nodes) const;
  // order_among() for the default nodes, and `node_id` itself if it is usable.
  [[nodiscard]] std::vector<int> memory_order(int node_id) const;
  // The node of the CPU (the lowest, if several claim it); empty if none has it.
  [[nodiscard]] std::optional<int> node_of_cpu(int cpu) const noexcept;

 private:
  Topology() = default;
  [[nodiscard]] std::size_t index_of(int node_id) const;
  void complete_distances();
  void add_online_to_possible();
  // Without words: all nodes but those with the memory of devices. Returns what is wrong with the
  // words.
  [[nodiscard]] std::string choose_defaults(const std::optional<std::string>& words);
  void require_defaults(const std::optional<std::string>& words);

  TopologyParts parts_;
  std::string problem_;
};

// Free memory of a node of the machine under `root`, read at each call. Throws Error(kSystem,
// kTopology).
[[nodiscard]] std::uint64_t free_memory_bytes(const std::string& root, int node_id);

// "node 1", "nodes 0, 2".
[[nodiscard]] std::string nodes_text(const std::vector<int>& ids);

}  // namespace numapool
