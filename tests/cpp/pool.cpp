// Pools on the scripted machine: reuse, spills, max_bytes, and blocks that were moved.
#include <doctest/doctest.h>

#include <thread>

#include "platform/fake/process_script.hpp"
#include "platform/thread.hpp"
#include "pools.hpp"

namespace numapool {

TEST_CASE_FIXTURE(Pools, "a block that came back is lent again, with no call to the system") {
  open();
  const Lease first = take(kMiB, 1);
  CHECK_FALSE(first.dirty);
  give(first);
  const auto calls = memory().calls;
  const Lease again = take(kMiB - 100, 1);
  CHECK(again.region.address == first.region.address);
  CHECK(again.dirty);
  CHECK(again.place.step == AllocationStep::kPreferred);
  CHECK(memory().calls == calls);
  give(again);
  CHECK(of(1).hits == 1);
  CHECK(of(1).misses == 1);
  CHECK(of(1).retained_bytes == kMiB);
  CHECK(of(0).retained_bytes == 0);
}

TEST_CASE_FIXTURE(Pools, "a block of one node never serves another while that one has room") {
  open();
  give(take(kMiB, 1));
  const Lease other = take(kMiB, 2);
  CHECK(other.place.node_id == 2);
  CHECK(of(2).spills == 0);
  CHECK(of(1).retained_bytes == kMiB);
  give(other);
}

TEST_CASE_FIXTURE(Pools, "a full node takes the nearest one's retained block: a hit and a spill") {
  open();
  give(take(8 * kMiB, 1));
  give(take(8 * kMiB, 0));
  memory().rooms[2].free_bytes = kMiB;
  const Lease spilled = take(8 * kMiB, 2);
  CHECK(spilled.place.node_id == 1);
  CHECK(spilled.place.requested_node == 2);
  CHECK(spilled.place.step == AllocationStep::kNearest);
  CHECK(of(2).hits == 1);
  CHECK(of(2).spills == 1);
  CHECK(of(1).in_use_bytes == 8 * kMiB);
  give(spilled);
  CHECK(of(1).retained_bytes == 8 * kMiB);  // filed where it is
  CHECK(kind_of([&] { return take(8 * kMiB, 2, true); }) == ErrorKind::kPlacement);
}

TEST_CASE_FIXTURE(Pools, "a node without memory lives off its neighbour") {
  platform::fake::topology_script().nodes[2].total_memory_bytes = 0;
  memory().rooms.erase(2);
  open();
  const Lease first = take(kMiB, 2);
  CHECK(first.place.node_id == 1);
  give(first);
  const auto calls = memory().calls;
  const Lease again = take(kMiB, 2);
  CHECK(again.region.address == first.region.address);
  CHECK(memory().calls == calls);
  CHECK(of(2).spills == 2);
  give(again);
}

TEST_CASE_FIXTURE(Pools, "what splits over nodes is filed by majority, and is no strict block") {
  for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
  open();
  const Lease split = take(96 * kMiB, 0);
  CHECK(split.place.step == AllocationStep::kAny);
  CHECK(split.place.node_id == 0);
  give(split);
  const Lease again = take(96 * kMiB, 0);
  CHECK(of(0).hits == 1);
  CHECK(again.region.address == split.region.address);
  CHECK(again.place.step == AllocationStep::kAny);
  give(again);
  CHECK(kind_of([&] { return take(96 * kMiB, 0, true); }) == ErrorKind::kPlacement);
}

TEST_CASE_FIXTURE(Pools, "near nodes share a block before a far node gives it") {
  memory().rooms[0] = {40 * kMiB, 0};
  memory().rooms[1] = {40 * kMiB, 0};
  open();
  const Lease lease = take(64 * kMiB, 0);
  CHECK(lease.place.step == AllocationStep::kAny);
  CHECK(placement_of(lease.region).bytes_on(0) == 40 * kMiB);
  CHECK(placement_of(lease.region).bytes_on(1) == 24 * kMiB);
  // Too much for both: the far node has it whole. Its failure was remembered for nobody else.
  const Lease far = take(256 * kMiB, 0);
  CHECK(far.place.step == AllocationStep::kNearest);
  CHECK(far.place.node_id == 2);
  give(far);
  give(lease);
}

TEST_CASE_FIXTURE(Pools, "a block that was migrated is filed under where it went") {
  open();
  const Lease lease = take(4 * kMiB, 0);
  static_cast<void>(migrate(lease.region, 2, kNoInterrupts));
  if (lease.keeper->give_back(lease.cookie, true)) lease.keeper->tidy();
  CHECK(of(2).retained_bytes == 4 * kMiB);
  CHECK(of(0).retained_bytes == 0);
  CHECK(of(0).in_use_bytes == 0);
  const Lease again = take(4 * kMiB, 2);
  CHECK(again.region.address == lease.region.address);
  give(again);
}

TEST_CASE_FIXTURE(Pools, "pages that the system moved are noticed before the block is lent") {
  open();
  const Lease lease = take(4 * kMiB, 0);
  const Region region = lease.region;
  give(lease);
  static_cast<void>(
      platform::move_to_node(region.address, region.length, region.pages, 1));  // a demotion
  platform::fake::process_script().page_moves.fetch_add(1);
  platform::fake::process_script().now_ms.fetch_add(2000);
  static_cast<void>(total());  // looks at the counters
  const Lease other = take(4 * kMiB, 0);
  CHECK(other.region.address != region.address);
  CHECK(other.place.node_id == 0);
  const Lease moved = take(4 * kMiB, 1);
  CHECK(moved.region.address == region.address);
  CHECK(moved.place.node_id == 1);
  give(other);
  give(moved);
}

TEST_CASE_FIXTURE(Pools, "max_bytes is a hard cap, and retained blocks make room first") {
  PoolOptions options;
  options.max_bytes = 8 * kMiB;
  open(options);
  give(take(5 * kMiB, 0));
  const Lease four = take(4 * kMiB, 0);  // the five go
  CHECK(total().retained_bytes == 0);
  const Lease other = take(4 * kMiB, 0);
  CHECK(kind_of([&] { return take(4096, 0); }) == ErrorKind::kExhausted);
  CHECK(total().high_water_bytes <= 8 * kMiB);
  give(four);
  give(take(4 * kMiB, 0));
  give(other);
}

TEST_CASE_FIXTURE(Pools, "what can never fit is refused at once, and the error does not say wait") {
  PoolOptions options;
  options.max_bytes = kMiB;
  open(options);
  AcquireRequest request;
  request.size_bytes = 2 * kMiB;
  request.wait_ms = UINT64_MAX;
  const auto acquire = [&] { return pool->acquire(request, kNoInterrupts, {}); };
  CHECK(error_of(acquire) ==
        std::pair(ErrorKind::kExhausted,
                  std::string("2 MiB never fit into this pool, which may hold 1 MiB (max_bytes); "
                              "ask for less, or raise max_bytes")));
  request.size_bytes = kMiB + 1;
  CHECK(error_of(acquire).second.find("(1048577 bytes, rounded up)") != std::string::npos);
  request.strict = true;
  CHECK(error_of(acquire).second.find("never fit") != std::string::npos);
  for (const bool taken : {false, true}) {
    const auto told = error_of([&] {
      if (taken) return pool->reserve(2 * kMiB, 0, 0, kNoInterrupts, {});
      return pool->take_fixed(2 * kMiB, 0, false, kNoInterrupts).block.counted.bytes;
    });
    CHECK(told.first == ErrorKind::kExhausted);
    CHECK(told.second.find("never fit") != std::string::npos);
  }
  CHECK(memory().calls["map"] == 0);
  const Lease all = take(kMiB, 0);  // exactly the limit
  CHECK(error_of([&] { return take(4096, 0); }).second.find("block=True") != std::string::npos);
  const auto waitless = {
      error_of([&] { return pool->reserve(4096, 0, 0, kNoInterrupts, {}); }),
      error_of([&] { return pool->take_fixed(4096, 0, false, kNoInterrupts).block.size_bytes; })};
  for (const auto& [kind, text] : waitless) {
    CHECK(kind == ErrorKind::kExhausted);
    CHECK(text.find("4 KiB more would pass that") != std::string::npos);
    CHECK(text.find("block=True") == std::string::npos);  // neither can wait
  }
  give(all);
}

TEST_CASE_FIXTURE(Pools, "rings of huge pages count whole pages against max_bytes") {
  memory().hugetlb = {{platform::fake::kHugePage, 8, 8}};
  PoolOptions options;
  options.page = {PageRequest::Kind::kHugetlb, platform::fake::kHugePage};
  SUBCASE("which leave room for less than one") {
    options.max_bytes = kMiB;
    open(options);
    CHECK(kind_of([&] {
            return pool->take_fixed(4 * 4096, 1, false, kNoInterrupts).block.size_bytes;
          }) == ErrorKind::kExhausted);
    CHECK(platform::fake::live_mappings() == 0);
  }
  SUBCASE("which leave room for one") {
    options.max_bytes = 2 * kMiB;
    open(options);
    Allocation fixed = pool->take_fixed(4 * 4096, 1, false, kNoInterrupts);
    CHECK(of(1).in_use_bytes == 2 * kMiB);
    pool->drop_fixed(std::move(fixed.block));
  }
  CHECK(total().in_use_bytes == 0);
  CHECK(total().high_water_bytes <= *options.max_bytes);
}

TEST_CASE_FIXTURE(Pools, "memory on a node that came online later is given back in the books") {
  PoolOptions options;
  options.max_bytes = 8 * kMiB;
  open(options);
  for (const int id : {0, 1, 2}) memory().rooms[id] = {0, 0};
  memory().rooms[3] = {512 * kMiB, 0};
  for (int round = 0; round < 3; ++round) {
    Allocation fixed = pool->take_fixed(8 * kMiB, 1, false, kNoInterrupts);
    CHECK(fixed.block.place.node_id == 3);
    CHECK(of(1).in_use_bytes == 8 * kMiB);
    fixed.block.place.node_id = 2;  // as after a migration
    pool->drop_fixed(std::move(fixed.block));
    CHECK(total().in_use_bytes == 0);
    CHECK(of(1).in_use_bytes == 0);
  }
  const Lease lease = take(8 * kMiB, 1);
  CHECK(lease.place.node_id == 3);
  give(lease);
  CHECK(total().retained_bytes == 8 * kMiB);
}

TEST_CASE_FIXTURE(Pools, "a block that moved to a node that came online later says where it is") {
  open();
  const Lease before = take(kMiB, 0);
  const Region region = before.region;
  give(before);
  memory().rooms[3] = {512 * kMiB, 0};
  static_cast<void>(platform::move_to_node(region.address, region.length, region.pages, 3));
  platform::fake::process_script().page_moves.fetch_add(1);
  platform::fake::process_script().now_ms.fetch_add(2000);
  static_cast<void>(total());  // looks at the counters
  for (int round = 0; round < 2; ++round) {
    const Lease lease = take(kMiB, 0);
    CHECK(lease.region.address == region.address);
    CHECK(lease.place.node_id == 3);
    CHECK(lease.place.step == AllocationStep::kNearest);
    give(lease);
  }
  const Lease strict = take(kMiB, 0, true);
  CHECK(strict.region.address != region.address);
  CHECK(strict.place.node_id == 0);
  give(strict);
}

TEST_CASE_FIXTURE(Pools, "waiting for room ends when a block comes back") {
  PoolOptions options;
  options.max_bytes = kMiB;
  open(options);
  const Lease all = take(kMiB, 0);
  AcquireRequest request;
  request.size_bytes = kMiB;
  request.nodes = 0;
  request.wait_ms = 1u << 30;
  std::thread waiter([&] { give(pool->acquire(request, kNoInterrupts, {})); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  give(all);
  waiter.join();
  CHECK(total().hits == 1);
  const Lease held = take(kMiB, 0);
  request.wait_ms = 0;
  CHECK(kind_of([&] { return pool->acquire(request, kNoInterrupts, {}); }) ==
        ErrorKind::kExhausted);
  give(held);
}

TEST_CASE_FIXTURE(Pools, "a CPU that came online after the pool was made has its own node") {
  open();
  for (const int node : {0, 1, 2}) give(take(kMiB, node));
  using platform::fake::node;
  set_nodes({node(0, {0, 1}, 64 * kMiB, {10, 20, 30}), node(1, {2, 3}, 64 * kMiB, {20, 10, 20}),
             node(2, {4, 5}, 64 * kMiB, {30, 20, 10})});
  std::thread([&] {
    const int cpus[] = {5};
    platform::prepare_worker(cpus);
    Lease lease;
    CHECK_FALSE(pool->try_acquire(kMiB, -1, lease));  // the pool does not know its node
    AcquireRequest request;
    request.size_bytes = kMiB;
    lease = pool->acquire(request, kNoInterrupts, {});
    CHECK(lease.place.requested_node == 2);
    CHECK(lease.place.node_id == 2);
    CHECK(of(2).hits == 1);
    give(lease);
    CHECK(pool->try_acquire(kMiB, 2, lease));  // kept by a CPU all the same
    give(lease);
  }).join();
}

TEST_CASE_FIXTURE(Pools, "memory that is short is taken from what other sizes retain") {
  for (const int id : {0, 1, 2}) memory().rooms[id] = {40 * kMiB, 0};
  open();
  std::vector<Lease> leases;
  for (const int node : {0, 1, 2}) leases.push_back(take(32 * kMiB, node));
  for (const Lease& lease : leases) give(lease);
  const Lease big = take(56 * kMiB, 0);
  CHECK(big.region.length == 56 * kMiB);
  give(big);
}

}  // namespace numapool
