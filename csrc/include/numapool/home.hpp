// The node that a thread's memory comes from where no node is named: its home, else its CPU's node.
#pragma once

namespace numapool {

inline constexpr int kNoHome = -1;

// Sets the home of the calling thread; kNoHome forgets it. For threads whose CPUs are not on the
// node they work for, such as memory without CPUs. New threads have none; a forked child's thread
// keeps its parent's. A
// home that a machine does not have counts as none.
void set_home_node(int node) noexcept;
[[nodiscard]] int home_node() noexcept;

}  // namespace numapool
