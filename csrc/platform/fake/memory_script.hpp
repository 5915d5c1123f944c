// The memory of the scripted machine: what each node still holds, and which calls fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "platform/memory.hpp"

namespace numapool::platform::fake {

inline constexpr std::size_t kBasePage = 4096;
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Set by a test before it calls the core; not thread-safe to change while calls run. Calls go by
// the names of the platform's functions: "map", "unmap", "set_policy", "populate", "residency", ...
struct MemoryScript {
  std::map<int, NodeRoom> rooms;    // a node that is missing here is offline: EINVAL
  std::uint64_t reserve_bytes = 0;  // that each node says it keeps for itself
  std::set<int> not_allowed;        // a cpuset leaves them out: EINVAL, and nothing spills there
  // The zone list of a node: where its spill goes, in order. Missing: the others by ascending id.
  std::map<int, std::vector<int>> fallback;

  std::map<std::string, Failure> failures;                    // every call of that name
  std::map<std::string, std::map<int, Failure>> failures_at;  // the k-th call of it, from 1
  // Runs before each call is answered, under the machine's lock: for what happens meanwhile, and
  // for std::bad_alloc. It gets the name of the call and how many there were, this one included.
  std::function<void(MemoryScript&, std::string_view call, int count)> before;
  // Runs before each call that maps, unmaps or changes pages, without any lock of the machine's:
  // where another thread may come in between.
  std::function<void()> turn;

  // Fragmentation: huge pages exist on this node alone, and move to no other.
  std::optional<int> huge_pages_only_on;
  std::uint64_t transparent_sizes = kHugePage;  // added up; 0: switched off
  std::vector<HugetlbPool> hugetlb{{kHugePage, 0, 0}};
  bool pages_hidden = false;                         // the container case: residency() cannot tell
  std::optional<std::uint64_t> available_bytes;      // nothing: the sum of the rooms
  std::optional<std::uint64_t> thread_policy_bytes;  // nothing: threads have no strict policy
  std::optional<std::uint64_t> hugetlb_limit_bytes;  // nothing: no cgroup limits huge pages
  std::map<int, unsigned> weights;                   // empty: a kernel before weighted interleaving
  bool preferred_many = true;                        // false: a kernel before Linux 5.15
  int current_node = 0;                              // of every thread but the core's workers

  bool workers_roam = false;  // no worker gets the CPUs that it asks for

  // Counts of calls, for tests that check what was not called.
  std::map<std::string, int> calls;
  // The policies that were set, in order, as mbind(2) takes them: the nodes are a mask.
  struct PolicyCall {
    Policy policy;
    std::vector<int> nodes;
    bool move;
    bool operator==(const PolicyCall&) const = default;
  };
  std::vector<PolicyCall> policies;
  // The CPUs that each worker thread was prepared for, in the order of preparation.
  std::vector<std::vector<int>> worker_cpus;
  // True for good once a page was asked for under kBind: on a real kernel this is the OOM killer's
  // case.
  bool allocated_under_bind = false;
  // Calls that break the contract: on no mapping, past its end, or not on whole pages.
  int misuses = 0;
};

[[nodiscard]] MemoryScript& memory_script();

// Forgets the script. Mappings that are still alive stay, and none of their pages is resident.
void reset_memory();

// Mappings alive, and pages resident in them, to prove that nothing leaks.
[[nodiscard]] std::size_t live_mappings();
[[nodiscard]] std::size_t resident_pages();
// Mappings alive that a core dump would hold.
[[nodiscard]] std::size_t dumped_mappings();

// Unmaps all remaining mappings, after a test in which unmap() failed.
void drop_live_mappings();

}  // namespace numapool::platform::fake
