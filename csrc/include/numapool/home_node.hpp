// The node that a thread's memory comes from where no node is named: its home, else its process's
// home, else its CPU's node; and the nodes that a strict policy from outside binds it to.
#pragma once

#include <vector>

#include "numapool/topology.hpp"

namespace numapool {

inline constexpr int kNoHome = -1;
// Of a thread that works for several nodes: its CPU tells, whatever the process's home is.
inline constexpr int kHomeOfCpu = -2;

// Sets the home of the calling thread, and returns the one that it had; kNoHome forgets it. A CPU
// does not tell the node that a thread works for: a node may have no CPUs, or share them with
// another one (the kernel's numa=fake). New threads have none; a forked child's thread keeps its
// parent's. A home that a machine does not have counts as none.
int set_home_node(int node) noexcept;
// The same of all threads of this process that have no home of their own, new ones too.
void set_process_home_node(int node) noexcept;
// The calling thread's home, else the process's.
[[nodiscard]] int home_node() noexcept;

// The usable nodes of the calling thread's strict policy (MPOL_BIND), ascending; empty where none
// is in force. numapool sets no such policy: numactl --membind or systemd's NUMAPolicy=bind did.
[[nodiscard]] std::vector<int> inherited_bind(const Topology& topology);

// The nodes that the calling thread gets memory from where it names none, ascending: the machine's
// default nodes, and of these what an inherited bind leaves; all of the bind where it leaves none.
[[nodiscard]] std::vector<int> unasked_nodes(const Topology& topology);

// `node`, or the nearest of `unasked` where `node` is not among them. A node without memory stays,
// unless a bind is in force.
[[nodiscard]] int nearest_unasked(const Topology& topology, const std::vector<int>& unasked,
                                  int node);

// The node that the calling thread gets memory from where it names none: its home, else its
// process's; else its CPU's node, or the nearest that may be used unasked.
[[nodiscard]] int node_here(const Topology& topology);

}  // namespace numapool
