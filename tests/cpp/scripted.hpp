// What tests on the scripted machine share: a fresh script for each, short requests, and errors as
// values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/topology.hpp"
#include "platform/fake/memory_script.hpp"
#include "platform/fake/topology_script.hpp"

namespace numapool {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline const InterruptCheck kNoInterrupts = [] {};

// Three nodes of 64 MiB each in a row: 0 - 1 - 2.
struct Scripted {
  Scripted() {
    using platform::fake::node;
    platform::fake::reset_memory();
    set_nodes({node(0, {0, 1}, 64 * kMiB, {10, 20, 30}), node(1, {2, 3}, 64 * kMiB, {20, 10, 20}),
               node(2, {4}, 64 * kMiB, {30, 20, 10})});
    for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
  }
  ~Scripted() {
    platform::fake::drop_live_mappings();
    platform::fake::reset_memory();
    platform::fake::reset_topology();
  }
  Scripted(const Scripted&) = delete;
  Scripted& operator=(const Scripted&) = delete;

  static void set_nodes(std::initializer_list<platform::NodeRecord> nodes) {
    platform::fake::topology_script() = platform::fake::machine_of(nodes);
  }
  static platform::fake::MemoryScript& memory() { return platform::fake::memory_script(); }
  static std::shared_ptr<const Topology> topology() {
    return std::make_shared<const Topology>(Topology::detect());
  }
  static AllocationRequest request(std::uint64_t bytes, int node, bool strict = false) {
    AllocationRequest out;
    out.size_bytes = bytes;
    out.preferred_node = node;
    out.strict = strict;
    return out;
  }
  static Allocation allocate(const AllocationRequest& request) {
    return Allocator(topology()).allocate(request, kNoInterrupts);
  }
  static Placement where(const Allocation& allocation) {
    return placement_of(allocation.block.mapping.region());
  }
};

template <class Call>
std::pair<ErrorKind, std::string> error_of(const Call& call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return {error.kind(), error.message()};
  }
  return {ErrorKind::kInterrupted, "no error"};
}

template <class Call>
ErrorKind kind_of(const Call& call) {
  return error_of(call).first;
}

}  // namespace numapool
