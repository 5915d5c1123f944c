// What an operating system must provide to tell its NUMA nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

enum class MemoryKind {
  kUnknown,
  kDram,
  kDevice,  // a GPU's, that its driver shows as a node
  kCxl,
  kPmem,
  kHbm,
};

struct NodeRecord {
  int node_id = 0;
  std::vector<int> cpus;  // online, ascending
  // 0: a node without memory. Nothing: the system does not say how much there is.
  std::optional<std::uint64_t> total_memory_bytes = 0;
  // To every node of the record, in its order; 0 where the system does not say. Empty: it says
  // nothing of this node's distances.
  std::vector<int> distances;
  std::optional<int> memory_tier;
  // From the firmware (HMAT), for the node's best initiators; nothing unless it says so.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
  // The memory is the machine's, for the node's own figure is not complete yet.
  bool memory_of_machine = false;
  MemoryKind kind = MemoryKind::kUnknown;
  std::string kind_evidence;  // how the kind is known, or why it is not: files without the root
  // None of the memory is for the kernel's own use (ZONE_MOVABLE): it was added at run time.
  bool movable_only = false;
};

// An attribute that was left out of the record, and what stands in for it. Of a file that makes no
// sense the cause is kUnintelligible, with the file as `call` and the text and the reason as
// `detail`; any other cause: it could not be read.
struct TopologyNote {
  Failure failure;
  std::string instead;
};

struct TopologyRecord {
  std::vector<NodeRecord> nodes;  // online, ascending id, at least one
  std::vector<int> allowed;       // ascending: the nodes this process may take memory from
  std::vector<int> possible;      // ascending: nodes that may come online, or are; empty: unknown
  std::vector<TopologyNote> notes;
};

// What may change of the running machine, each ascending.
struct NodesNow {
  std::vector<int> online;
  std::vector<int> usable;  // with memory, and this process may take it
  std::vector<int> cpus;    // online
};

// Reads the running machine (`root` "/"), or a tree of the same files elsewhere (root/sys,
// root/proc) where the platform has such. Throws nothing but std::bad_alloc. An attribute that
// cannot be read or makes no sense costs that attribute, and a note; it fails only where there is
// no machine to read, or the system has no descriptors or memory left to read it.
Result<TopologyRecord> read_topology(const std::string& root);

// A look at a few small files, for much less than read_topology() costs. Fails where the system has
// no such files.
Result<NodesNow> nodes_now();

// Free memory of a node, read now.
Result<std::uint64_t> free_memory_bytes(const std::string& root, int node_id);

}  // namespace numapool::platform
