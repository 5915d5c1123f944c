// What an operating system must provide to tell its NUMA nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

struct NodeRecord {
  int node_id = 0;
  std::vector<int> cpus;                 // online, ascending
  std::uint64_t total_memory_bytes = 0;  // 0: a node without memory
  std::vector<int>
      distances;  // to every node of the record, in its order; empty: the system does not say
  std::optional<int> memory_tier;
  // From the firmware (HMAT), for the node's best initiators; nothing unless it says so.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
};

struct TopologyRecord {
  std::vector<NodeRecord> nodes;  // online, ascending id, at least one
  std::vector<int> allowed;       // ascending: the nodes this process may take memory from
};

// Reads the running machine (`root` "/"), or a tree of the same files elsewhere (root/sys,
// root/proc) where the platform has such. Throws nothing but std::bad_alloc. A tree that makes no
// sense is Cause::kUnintelligible, with the file as `call` and the text and the reason as `detail`.
Result<TopologyRecord> read_topology(const std::string& root);

// Free memory of a node, read now.
Result<std::uint64_t> free_memory_bytes(const std::string& root, int node_id);

}  // namespace numapool::platform
