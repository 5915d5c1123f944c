// The node that a thread's memory comes from where no node is named: its home, else its process's
// home, else its CPU's node.
#pragma once

namespace numapool {

inline constexpr int kNoHome = -1;

// Sets the home of the calling thread, and returns the one that it had; kNoHome forgets it. A CPU
// does not tell the node that a thread works for: a node may have no CPUs, or share them with
// another one (the kernel's numa=fake). New threads have none; a forked child's thread keeps its
// parent's. A home that a machine does not have counts as none.
int set_home_node(int node) noexcept;
// The same of all threads of this process that have no home of their own, new ones too.
void set_process_home_node(int node) noexcept;
// The calling thread's home, else the process's.
[[nodiscard]] int home_node() noexcept;

}  // namespace numapool
