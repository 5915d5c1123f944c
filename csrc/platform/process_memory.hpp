// What an operating system must provide about the memory of a whole process, also of another one:
// where its pages are, and moving them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// The use of pages, by the mapping that they belong to.
enum class PageUse {
  kHeap,
  kStack,    // the stack of the process's first thread
  kHuge,     // hugetlb pages, whatever their use
  kFile,     // of a mapped file, including private copies of its pages
  kPrivate,  // everything else
};

struct ProcessMemory {
  // Resident bytes by use and node. A page that several processes share counts in each of them.
  std::map<PageUse, std::map<int, std::uint64_t>> bytes;
  // The part of these bytes in mappings that other processes have pages of, by node.
  std::map<int, std::uint64_t> shared_bytes;
  std::uint64_t mappings = 0;
  // The memory policy of the process's first thread, as the system writes it: "default",
  // "prefer:1", "bind:0-1". Empty if the system does not tell.
  std::string policy;
};

// Reads the process with this folder below /proc. A process without memory (a kernel thread, or one
// that has ended) has no mappings.
Result<ProcessMemory> process_memory(const std::string& folder);

// A range of a process's addresses.
struct ProcessArea {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// The mappings of a process that are private, of no file, without hugetlb pages, and that have
// pages on `from` and on no other nodes than `from` and `to`; ascending.
Result<std::vector<ProcessArea>> private_areas(const std::string& folder, int from, int to);

// Moves the pages of such an area to a node, as far as that is possible now. Returns the bytes that
// are on the node afterwards. Several threads may move areas of one process at once: the kernel
// copies on the CPU of the caller.
Result<std::uint64_t> move_process_pages(int process, ProcessArea area, int node);

// Moves a process's pages from the nodes `from` to the nodes `to`, pairing the first with the
// first, and so on, in turns. Returns how many pages stayed. It takes no memory from other nodes: a
// page for which there is no room stays.
Result<std::uint64_t> migrate_process(int process, std::span<const int> from,
                                      std::span<const int> to);

}  // namespace numapool::platform
