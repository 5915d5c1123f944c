// What an operating system must provide about the memory of a whole process, also another one:
// where its pages are, and moving them to other nodes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// What pages are there for, by the mapping that they belong to.
enum class PageUse {
  kHeap,
  kStack,    // of the thread that the process began with
  kHuge,     // hugetlb pages, whatever for
  kFile,     // of a mapped file; private copies of its pages too
  kPrivate,  // everything else
};

struct ProcessMemory {
  // Resident bytes by use and node. A page that several processes share counts in each of them.
  std::map<PageUse, std::map<int, std::uint64_t>> bytes;
  // Those of them that are in mappings of which other processes have pages too, by node.
  std::map<int, std::uint64_t> shared_bytes;
  std::uint64_t mappings = 0;
  // The memory policy of the thread that the process began with, in the system's words:
  // "default", "prefer:1", "bind:0-1". Empty where the system does not tell.
  std::string policy;
};

// Reads the process whose folder below /proc is `folder`. A process without memory (a thread of the
// kernel, one that has ended) has no mappings.
Result<ProcessMemory> process_memory(const std::string& folder);

// Addresses of a process.
struct ProcessArea {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// The mappings of a process that no other shares, of no file and not of hugetlb pages, with pages
// on `from` and none on other nodes than `from` and `to`; ascending.
Result<std::vector<ProcessArea>> private_areas(const std::string& folder, int from, int to);

// Moves the pages of such an area to a node, as far as they can be moved now. Returns the bytes
// that are there then. Several threads may move areas of one process at once: the kernel copies on
// the CPU that asks.
Result<std::uint64_t> move_process_pages(int process, ProcessArea area, int node);

// Moves a process's pages that are on the nodes `from` to the nodes `to`: the first of the one to
// the first of the other and so on, in turns. Returns how many pages stayed where they were. It
// takes no memory from other nodes: a page that finds no room stays.
Result<std::uint64_t> migrate_process(int process, std::span<const int> from,
                                      std::span<const int> to);

}  // namespace numapool::platform
