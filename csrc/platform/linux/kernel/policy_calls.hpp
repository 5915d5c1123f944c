// The kernel's memory policy calls, made directly: mbind(2), set_mempolicy(2), get_mempolicy(2),
// move_pages(2), migrate_pages(2).
//
// The C library wraps none of them. libnuma does, but it also runs code when it is loaded: it reads
// sysfs, calls get_mempolicy, and prints to standard error if a sandbox answers that call without
// doing anything (numa_init() in libnuma.c).
//
// Each function returns the kernel's result, or -1 with errno. If a sandbox reports success and
// does nothing, output parameters keep the values that the caller set.
#pragma once

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstddef>

#include "platform/linux/kernel/node_mask.hpp"

namespace numapool::platform {

// Marks output that the kernel should overwrite; it is neither a node nor an errno. If the mark is
// still there, the call did not answer, whatever it returned (sandboxes and stub kernels return 0
// for calls that they do not implement).
constexpr int kUnanswered = INT_MIN;

}  // namespace numapool::platform

namespace numapool::platform::kernel {

// include/uapi/linux/mempolicy.h: the header of the system that builds may be older.
constexpr int kPreferredMany = 5;       // MPOL_PREFERRED_MANY, Linux 5.15
constexpr int kWeightedInterleave = 6;  // MPOL_WEIGHTED_INTERLEAVE, Linux 6.9
constexpr int kBalancing = 1 << 13;     // MPOL_F_NUMA_BALANCING, Linux 5.12
constexpr int kModeFlags = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | kBalancing;

// syscall(2) is variadic: every argument is widened to a register's width before it is passed.
inline long word(const volatile void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

inline long mbind(void* address, std::size_t length, int mode, const NodeMask& nodes,
                  unsigned flags) noexcept {
  return syscall(SYS_mbind, word(address), length, long{mode}, word(nodes.data()),
                 NodeMask::kMaxNode, std::size_t{flags});
}

// Of the calling thread.
inline long set_mempolicy(int mode, const NodeMask& nodes) noexcept {
  return syscall(SYS_set_mempolicy, long{mode}, word(nodes.data()), NodeMask::kMaxNode);
}

// A mode that takes no nodes: MPOL_DEFAULT, MPOL_LOCAL.
inline long set_mempolicy(int mode) noexcept {
  return syscall(SYS_set_mempolicy, long{mode}, 0L, 0L);
}

// The calling thread's mode with its flags; its nodes too where `nodes` is not null.
inline long get_mempolicy(int& mode, NodeMask* nodes = nullptr) noexcept {
  return syscall(SYS_get_mempolicy, word(&mode), nodes == nullptr ? 0L : word(nodes->data()),
                 nodes == nullptr ? 0UL : NodeMask::kMaxNode, 0L, 0L);
}

// The nodes that the thread's cpuset allows (Linux 2.6.24).
inline long allowed_nodes(NodeMask& nodes) noexcept {
  return syscall(SYS_get_mempolicy, 0L, word(nodes.data()), NodeMask::kMaxNode, 0L,
                 long{MPOL_F_MEMS_ALLOWED});
}

// The node of the page at `address`. A page that is not there is faulted in, as by a read.
inline long node_of_address(int& node, const void* address) noexcept {
  return syscall(SYS_get_mempolicy, word(&node), 0L, 0L, word(address),
                 long{MPOL_F_NODE | MPOL_F_ADDR});
}

// `nodes` null: only says in `status` where each page is.
inline long move_pages_of(int process, std::size_t count, void** pages, const int* nodes,
                          int* status) noexcept {
  return syscall(SYS_move_pages, long{process}, count, word(pages), word(nodes), word(status),
                 nodes == nullptr ? 0L : long{MPOL_MF_MOVE});
}

// Of this process.
inline long move_pages(std::size_t count, void** pages, const int* nodes, int* status) noexcept {
  return move_pages_of(0, count, pages, nodes, status);
}

// Moves all pages of a process from nodes to nodes; returns how many stayed.
inline long migrate_pages(int process, const NodeMask& from, const NodeMask& to) noexcept {
  return syscall(SYS_migrate_pages, long{process}, NodeMask::kMaxNode, word(from.data()),
                 word(to.data()));
}

}  // namespace numapool::platform::kernel
