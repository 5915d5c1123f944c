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
  kDevice,  // a GPU's memory, which its driver shows as a node
  kCxl,
  kPmem,
  kHbm,
};

struct NodeRecord {
  int node_id = 0;
  std::vector<int> cpus;  // online, ascending
  // 0: a node without memory. Empty: the system does not tell the size.
  std::optional<std::uint64_t> total_memory_bytes = 0;
  // To every node of the record, in its order; 0 if the system does not tell. Empty: it tells none
  // of this node's distances.
  std::vector<int> distances;
  std::optional<int> memory_tier;
  // From the firmware (HMAT), for the node's best initiators; empty unless the firmware tells.
  std::optional<std::uint64_t> read_latency_ns;
  std::optional<std::uint64_t> write_latency_ns;
  std::optional<std::uint64_t> read_bandwidth_bytes_s;
  std::optional<std::uint64_t> write_bandwidth_bytes_s;
  // The size is the whole machine's, as the node's own figure is not complete yet.
  bool memory_of_machine = false;
  MemoryKind kind = MemoryKind::kUnknown;
  std::string kind_evidence;  // how the kind is known, or why not: files, relative to the root
  // The kernel keeps none of its own data in this memory (ZONE_MOVABLE): it was added at run time.
  bool movable_only = false;
};

// An attribute that was left out of the record, and what is used instead. For a file that makes no
// sense, the cause is kUnintelligible, `call` is the file, and `detail` has its text and the
// reason. Any other cause: the file could not be read.
struct TopologyNote {
  Failure failure;
  std::string instead;
};

struct TopologyRecord {
  std::vector<NodeRecord> nodes;  // online, ascending id, at least one
  std::vector<int> allowed;       // ascending: the nodes that this process may take memory from
  std::vector<int> possible;      // ascending: nodes that are or may come online; empty: unknown
  std::vector<TopologyNote> notes;
};

// What can change on the running machine; each list ascending.
struct NodesNow {
  std::vector<int> online;
  std::vector<int> usable;  // nodes with memory that this process may use
  std::vector<int> cpus;    // online
};

// Reads the running machine (`root` "/"), or a copy of the same files elsewhere (root/sys,
// root/proc) if the platform has such files. An attribute that cannot be read or makes no sense
// costs that attribute, and adds a note. Fails only if there is no machine to read, or the system
// has no descriptors or memory left to read it. Throws only std::bad_alloc.
Result<TopologyRecord> read_topology(const std::string& root);

// Reads a few small files, which is much cheaper than read_topology(). Fails if the system has no
// such files.
Result<NodesNow> nodes_now();

// Free memory of a node, read at each call.
Result<std::uint64_t> free_memory_bytes(const std::string& root, int node_id);

}  // namespace numapool::platform
