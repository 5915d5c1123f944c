// The memory of the scripted machine: what each node still holds, and which calls fail.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "platform/memory.hpp"

namespace numapool::platform::fake {

// Set by a test before it calls the core; not thread-safe to change while calls run.
struct MemoryScript {
  std::map<int, NodeRoom> rooms;  // a node that is missing here is offline: EINVAL
  std::map<int, std::vector<int>>
      fallback;  // the zone list of a node: where its spill goes, in order
  std::map<std::string, Failure> failures;  // by call: "map", "set_policy", "populate", "lock", ...
  std::optional<int> huge_pages_only_on;    // fragmentation: huge pages exist on this node alone
  bool pages_hidden = false;                // the container case: residency() cannot tell
  std::optional<std::uint64_t> available_bytes;  // nothing: the sum of the rooms
  std::map<int, unsigned> weights;               // empty: a kernel before weighted interleaving
  int current_node = 0;

  // Counts of calls, for tests that ask what was not done.
  std::map<std::string, int> calls;
  // True for good once a page was asked for under kBind: on a real kernel this is the OOM killer's
  // case.
  bool allocated_under_bind = false;
};

[[nodiscard]] MemoryScript& memory_script();

// Forgets the script. Mappings that are still alive keep their memory.
void reset_memory();

// Mappings alive, to prove that nothing leaks.
[[nodiscard]] std::size_t live_mappings();

}  // namespace numapool::platform::fake
