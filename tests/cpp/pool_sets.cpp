// Pools that are asked for any of several nodes: which one lends, and what counts as a spill.
#include <doctest/doctest.h>

#include "numapool/home_node.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

// Two sockets of two nodes each, and a thread on node 1.
struct PoolSets : Pools {
  PoolSets() {
    using platform::fake::node;
    set_nodes({node(0, {0}, 64 * kMiB, {10, 12, 21, 21}), node(1, {1}, 64 * kMiB, {12, 10, 21, 21}),
               node(2, {2}, 64 * kMiB, {21, 21, 10, 12}),
               node(3, {3}, 64 * kMiB, {21, 21, 12, 10})});
    for (int id = 0; id < 4; ++id) memory().rooms[id] = {64 * kMiB, 0};
    memory().current_node = 1;
    set_home_node(1);
  }
  ~PoolSets() {
    set_home_node(kNoHome);
    close();
  }
  PoolSets(const PoolSets&) = delete;
  PoolSets& operator=(const PoolSets&) = delete;

  Lease take_any(const std::vector<int>& nodes, std::uint64_t bytes = kMiB, bool strict = false) {
    Lease lease;
    if (!strict && pool->try_acquire_near(bytes, nodes, lease)) return lease;
    AcquireRequest request;
    request.size_bytes = bytes;
    request.nodes = NodeIds(nodes);
    request.strict = strict;
    return pool->acquire(request, kNoInterrupts, {});
  }
};

}  // namespace

TEST_CASE_FIXTURE(PoolSets, "of several nodes the thread's own lends") {
  open();
  const Lease fresh = take_any({0, 1, 2});
  CHECK(fresh.place.requested_node == 1);
  CHECK(fresh.place.node_id == 1);
  CHECK(fresh.place.step == AllocationStep::kPreferred);
  give(fresh);
  Lease again;
  REQUIRE(pool->try_acquire_near(kMiB, std::vector<int>{0, 1}, again));
  CHECK(again.place.node_id == 1);
  give(again);
  CHECK(of(1).misses == 1);
  CHECK(of(1).hits == 1);
  CHECK(total().spills == 0);
}

TEST_CASE_FIXTURE(PoolSets, "else the nearest, which is worked out once") {
  open();
  Lease lease;
  CHECK_FALSE(pool->try_acquire_near(kMiB, std::vector<int>{3, 2}, lease));
  give(take_any({3, 2}));
  REQUIRE(pool->try_acquire_near(kMiB, std::vector<int>{3, 2}, lease));
  CHECK(lease.place.node_id == 2);  // as far as node 3, and first by id
  give(lease);
  CHECK_FALSE(pool->try_acquire_near(kMiB, std::vector<int>{2, 900}, lease));
  give(take_any({1, 0}));
  CHECK(kind_of([&] { return take_any({1, 900}); }) == ErrorKind::kNodeNotFound);
}

TEST_CASE_FIXTURE(PoolSets, "a block that any of them retains comes before a new one") {
  open();
  give(take(kMiB, 3));
  const Lease got = take_any({1, 3});
  CHECK(got.place.requested_node == 3);
  CHECK(got.place.step == AllocationStep::kPreferred);
  CHECK(of(3).hits == 1);
  CHECK(total().misses == 1);
  CHECK(total().spills == 0);
  give(got);
}

TEST_CASE_FIXTURE(PoolSets, "spills are counted outside of the set alone") {
  open();
  std::vector<Lease> held;
  // 64 MiB on each of two nodes, and then one more.
  for (int i = 0; i < 17; ++i) held.push_back(take_any({0, 1}, 8 * kMiB));
  CHECK(of(1).misses == 9);  // the spill is of the nearest one
  CHECK(of(0).misses == 8);
  CHECK(of(1).spills == 1);
  CHECK(total().spills == 1);
  CHECK(held.back().place.step == AllocationStep::kNearest);
  CHECK(held.back().place.node_id == 2);
  CHECK(held.back().place.requested_node == 1);
  CHECK_FALSE(memory().allocated_under_bind);
  for (const Lease& one : held) give(one);
}

TEST_CASE_FIXTURE(PoolSets, "a block that they hold together alone is split over them") {
  open();
  for (const int id : {0, 1}) memory().rooms[id] = {20 * kMiB, 0};
  const Lease got = take_any({0, 1}, 32 * kMiB);
  CHECK(got.place.step == AllocationStep::kAny);
  const Placement seen = placement_of(got.region);
  CHECK(seen.bytes_on(0) + seen.bytes_on(1) == 32 * kMiB);
  CHECK(total().spills == 0);
  give(got);
}

TEST_CASE_FIXTURE(PoolSets, "strict: on one of them, on all of them, or not at all") {
  open();
  memory().rooms[1] = {4 * kMiB, 0};
  const Lease other = take_any({0, 1}, 16 * kMiB, true);
  CHECK(other.place.node_id == 0);
  give(other);
  pool->trim(std::nullopt, std::nullopt);
  memory().rooms[0] = {20 * kMiB, 0};
  memory().rooms[1] = {20 * kMiB, 0};
  const Lease both = take_any({0, 1}, 32 * kMiB, true);
  CHECK(placement_of(both.region).bytes_on(2) + placement_of(both.region).bytes_on(3) == 0);
  give(both);
  pool->trim(std::nullopt, std::nullopt);
  const auto [kind, text] = error_of([&] { return take_any({0, 1}, 56 * kMiB, true); });
  CHECK(kind == ErrorKind::kPlacement);
  CHECK(text.find("nodes 0, 1 alone") != std::string::npos);
  std::vector<Lease> held;
  const auto [small_kind, small_text] = error_of([&] {
    for (int i = 0; i < 500; ++i) held.push_back(take_any({0, 1}, 256 << 10, true));
    return 0;
  });
  CHECK(small_kind == ErrorKind::kPlacement);
  CHECK(small_text.find("nodes 0, 1 alone") != std::string::npos);
  for (const Lease& one : held) give(one);
}

TEST_CASE_FIXTURE(PoolSets, "what a pool reserves for several nodes is on the nearest") {
  open();
  CHECK(pool->reserve(kMiB, NodeIds({0, 1}), 0, kNoInterrupts, {}) == 1);
  CHECK(of(1).retained_bytes == kMiB);
  Allocation fixed = pool->take_fixed(kMiB, NodeIds({2, 3}), true, kNoInterrupts);
  CHECK(fixed.block.place.node_id == 2);
  pool->drop_fixed(std::move(fixed.block));
  CHECK(kind_of([&] { return take_any({0, 900}); }) == ErrorKind::kNodeNotFound);
}

}  // namespace numapool
