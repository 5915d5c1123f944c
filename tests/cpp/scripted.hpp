// What tests on the scripted machine share: a fresh script for each, short requests, and errors as
// values.
#pragma once

#include <doctest/doctest.h>

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

// Marks a test that takes seconds: `make check` leaves it out.
inline doctest::test_suite slow() { return {"slow"}; }

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
    out.nodes = node;
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

// Two sockets of two nodes each: 0 and 1 are near to each other, 2 and 3 are far from both.
struct TwoSockets : Scripted {
  TwoSockets() {
    using platform::fake::node;
    set_nodes({node(0, {0}, 64 * kMiB, {10, 12, 21, 21}), node(1, {1}, 64 * kMiB, {12, 10, 21, 21}),
               node(2, {2}, 64 * kMiB, {21, 21, 10, 12}),
               node(3, {3}, 64 * kMiB, {21, 21, 12, 10})});
    set_room({26, 28, 61, 38});
  }
  static void set_room(std::initializer_list<std::uint64_t> mebibytes) {
    int id = 0;
    for (const std::uint64_t room : mebibytes) memory().rooms[id++] = {room * kMiB, 0};
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
