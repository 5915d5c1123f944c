// The state behind the scripted machine: its mappings, and where each page of them is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "platform/fake/memory_script.hpp"

namespace numapool::platform::fake {

inline constexpr int kNowhere = -1;  // the node of a page that is not resident

struct Range {
  void* origin = nullptr;  // what calloc(3) returned
  std::size_t length = 0;
  Pages pages;
  bool huge_forbidden = false;
  bool dumped = true;
  Policy policy = Policy::kPreferred;
  std::vector<int> nodes;         // of the policy; empty: none was set, first touch decides
  std::vector<int> node_of_page;  // by base page
};

struct Machine {
  std::mutex mutex;  // a leaf: nothing but the script's own hook is called under it
  MemoryScript script;
  std::map<std::uintptr_t, Range> ranges;  // by address
};

[[nodiscard]] Machine& machine();

// The base pages [first, last) of one mapping.
struct Part {
  Range* range = nullptr;
  std::size_t first = 0;
  std::size_t last = 0;
};

// All of these are called with the machine's mutex held.

// Counts the call, runs the script's hook, and returns the failure that the script has for it.
[[nodiscard]] std::optional<Failure> scripted(Machine& machine, const std::string& call);
// Nothing, and a misuse, where the bytes are not whole pages of one mapping.
[[nodiscard]] std::optional<Part> part_of(Machine& machine, const void* address,
                                          std::size_t length);
// Makes a page resident by the policy of its range; false where no memory is left for it.
[[nodiscard]] bool make_resident(Machine& machine, Range& range, std::size_t page, int toucher);
// Moves a resident page to `node`, clean cache making way there; false where it stays elsewhere.
bool move_page(Machine& machine, Range& range, std::size_t page, int node);
// The same for any of several nodes: a page that is on one of them stays, free memory goes first.
bool move_into(Machine& machine, Range& range, std::size_t page, std::span<const int> nodes);
void give_back(Machine& machine, Range& range, std::size_t page);

// The node that the calling thread runs on: a worker's by its CPUs, else the script's.
[[nodiscard]] int node_of_this_thread(const MemoryScript& script) noexcept;

}  // namespace numapool::platform::fake
