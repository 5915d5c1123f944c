// The node for memory when the request names none: the thread's home node, else its process's, else
// the node of its CPU. Also the nodes of a strict policy that was inherited.
#pragma once

#include <span>
#include <vector>

#include "numapool/topology.hpp"

namespace numapool {

inline constexpr int kNoHome = -1;
// The home of a thread that works for several nodes: always the node of its current CPU.
inline constexpr int kHomeOfCpu = -2;

// Sets the home node of the calling thread and returns the previous one; kNoHome clears it. A home
// is needed because a CPU does not always tell which node a thread works for: a node may have no
// CPUs, or share them with another node (the kernel's numa=fake). New threads have no home; a
// forked child's thread keeps its parent's. A home that the machine does not have is ignored.
int set_home_node(int node) noexcept;
// The same for all threads of this process without a home of their own, including new ones.
void set_process_home_node(int node) noexcept;
// The calling thread's home, else the process's.
[[nodiscard]] int home_node() noexcept;

// The usable nodes of the calling thread's strict policy (MPOL_BIND), ascending; empty if there is
// none. Such a policy is never numapool's own: it comes from numactl --membind or systemd's
// NUMAPolicy=bind.
[[nodiscard]] std::vector<int> inherited_bind(const Topology& topology);

// The nodes for the calling thread's memory when it names none, ascending: the machine's default
// nodes, limited to those of an inherited strict policy. If that leaves none, all nodes of the
// policy.
[[nodiscard]] std::vector<int> unasked_nodes(const Topology& topology);

// The usable nodes that a request for `wanted`, or for no node, gets no memory from, ascending: it
// does not name them, and they are not used unasked.
[[nodiscard]] std::vector<int> left_out_for(const Topology& topology, std::span<const int> wanted);

// `node`, or the nearest of `unasked` if `node` is not among them. A node without memory is kept,
// unless a strict policy is in force.
[[nodiscard]] int nearest_unasked(const Topology& topology, const std::vector<int>& unasked,
                                  int node);

// The node for the calling thread's memory when it names none: its home, else its process's home,
// else the node of its CPU, or the nearest to that which may be used unasked.
[[nodiscard]] int node_here(const Topology& topology);

}  // namespace numapool
