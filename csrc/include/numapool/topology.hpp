// The NUMA nodes of a machine: CPUs, memory, distances, and which of them this process may use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace numapool {

struct Node {
  int node_id = 0;
  std::vector<int> cpus;  // online, ascending; empty for memory without CPUs (CXL, HBM)
  std::uint64_t total_memory_bytes = 0;  // 0 for CPUs without memory
  std::optional<int> memory_tier;
  // HMAT figures of the node's best initiators; nothing unless the firmware gives them.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
};

// A snapshot; immutable and therefore safe to share between threads.
class Topology {
 public:
  // The running machine. Throws Error(kTopology, kSystem).
  [[nodiscard]] static Topology detect();
  // The machine whose /sys and /proc are under `root`. Throws Error: kTopology names the file and
  // its text.
  [[nodiscard]] static Topology from_sysfs(const std::string& root);

  [[nodiscard]] const std::string& root() const noexcept { return root_; }
  [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return nodes_; }
  [[nodiscard]] const std::vector<int>& allowed() const noexcept { return allowed_; }
  // True where the system gave no distances: 10 on the diagonal, 20 elsewhere.
  [[nodiscard]] bool distances_assumed() const noexcept { return distances_assumed_; }

  // nullptr where there is no such node online.
  [[nodiscard]] const Node* find(int node_id) const noexcept;
  // Throws Error(kNodeNotFound) that names the nodes there are.
  [[nodiscard]] const Node& node(int node_id) const;
  // ACPI SLIT units: 10 is local. Throws Error(kNodeNotFound).
  [[nodiscard]] int distance(int from, int to) const;
  // The distances from every node to every node, in the order of nodes().
  [[nodiscard]] const std::vector<std::vector<int>>& distances() const noexcept {
    return distances_;
  }
  // Nodes with memory that this process may use, ascending.
  [[nodiscard]] std::vector<int> usable_nodes() const;
  // The usable nodes by distance from `node_id`, then by id. Throws Error(kNodeNotFound).
  [[nodiscard]] std::vector<int> nearest(int node_id) const;
  // The node that has the CPU (the lowest of several that claim it); nothing where none does.
  [[nodiscard]] std::optional<int> node_of_cpu(int cpu) const noexcept;

 private:
  [[nodiscard]] std::size_t index_of(int node_id) const;

  std::string root_;
  std::vector<Node> nodes_;
  std::vector<int> allowed_;
  std::vector<std::vector<int>> distances_;
  bool distances_assumed_ = false;
};

// Free memory of a node of the machine under `root`, read now. Throws Error(kSystem, kTopology).
[[nodiscard]] std::uint64_t free_memory_bytes(const std::string& root, int node_id);

}  // namespace numapool
