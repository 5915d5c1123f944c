// Pools on the scripted machine: reuse, spills, limits, trims, forks, and the end.
#include "numapool/pool.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "platform/fake/process_script.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

struct Pools : Scripted {
  Pools() {
    for (const int id : {0, 1, 2}) memory().rooms[id] = {512 * kMiB, 0};
  }
  ~Pools() {
    close();
    CHECK(memory().misuses == 0);
  }
  Pool& open(PoolOptions options = {}) {
    pool = Pool::open(topology(), options);
    return *pool;
  }
  void close() {
    if (pool == nullptr) return;
    pool->close();
    std::exchange(pool, nullptr)->unpin();
  }
  Lease take(std::uint64_t bytes, int node, bool strict = false) {
    Lease lease;
    if (!strict && pool->try_acquire(bytes, node, lease)) return lease;
    AcquireRequest request;
    request.size_bytes = bytes;
    request.node = node;
    request.strict = strict;
    return pool->acquire(request, kNoInterrupts, {});
  }
  static void give(const Lease& lease) {
    if (lease.keeper->give_back(lease.cookie, false)) lease.keeper->tidy();
  }
  PoolCounts total() { return pool->statistics().total; }
  PoolCounts of(int node) { return pool->statistics().by_node.at(node); }
  Pool* pool = nullptr;
};

}  // namespace

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
  CHECK(kind_of([&] { return take(96 * kMiB, 0, true); }) == ErrorKind::kPlacement);
  const Lease again = take(96 * kMiB, 0);
  CHECK(again.region.address == split.region.address);
  CHECK(again.place.step == AllocationStep::kAny);
  give(again);
}

TEST_CASE_FIXTURE(Pools, "a block that was migrated is filed under where it went") {
  open();
  const Lease lease = take(4 * kMiB, 0);
  static_cast<void>(migrate(lease.region, 2, kNoInterrupts));
  if (lease.keeper->give_back(lease.cookie, true)) lease.keeper->tidy();
  CHECK(of(2).retained_bytes == 4 * kMiB);
  CHECK(of(0).retained_bytes == 0);
  CHECK(of(0).in_use_bytes == 0);
  CHECK(take(4 * kMiB, 2).region.address == lease.region.address);
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

TEST_CASE_FIXTURE(Pools, "waiting for room ends when a block comes back") {
  PoolOptions options;
  options.max_bytes = kMiB;
  open(options);
  const Lease all = take(kMiB, 0);
  AcquireRequest request;
  request.size_bytes = kMiB;
  request.node = 0;
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

TEST_CASE_FIXTURE(Pools, "retain_bytes bounds what stays") {
  PoolOptions options;
  options.retain_bytes = 6 * kMiB;
  open(options);
  std::vector<Lease> leases;
  for (int i = 0; i < 12; ++i) leases.push_back(take(kMiB, i % 3));
  for (const Lease& lease : leases) {
    give(lease);
    CHECK(total().retained_bytes <= 6 * static_cast<std::int64_t>(kMiB));
  }
  CHECK(total().retained_bytes >= 5 * static_cast<std::int64_t>(kMiB));
}

TEST_CASE_FIXTURE(Pools, "by default no more is held than was in use at once, and an eighth") {
  open();
  for (std::uint64_t size = 20 * kMiB; size < 180 * kMiB; size += 7 * kMiB) {
    const Lease lease = take(size, 0);
    CHECK(total().high_water_bytes <= 9 * (lease.region.length + kMiB) / 8 + 64 * kMiB);
    give(lease);
  }
}

TEST_CASE_FIXTURE(Pools, "small blocks are cut from slabs, and never overlap") {
  open();
  std::set<char*> seen;
  std::vector<Lease> leases;
  for (int i = 0; i < 2000; ++i) {
    leases.push_back(take(4096, 0));
    CHECK(seen.insert(static_cast<char*>(leases.back().region.address)).second);
  }
  CHECK(platform::fake::live_mappings() == 4);  // 512 to a slab
  for (const Lease& lease : leases) give(lease);
  CHECK(total().in_use_bytes == 0);
  CHECK(pool->trim(std::nullopt, std::nullopt) == 8 * kMiB);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "of slabs in use a trim takes the free blocks, which come back zeroed") {
  open();
  std::vector<Lease> leases;
  for (int i = 0; i < 512; ++i) {
    leases.push_back(take(4096, 0));
    std::memset(leases.back().region.address, i % 251 + 1, 4096);
  }
  for (std::size_t i = 0; i < leases.size(); i += 2) give(leases[i]);
  CHECK(pool->trim(std::nullopt, std::nullopt) == kMiB);
  CHECK(platform::fake::resident_pages() == 256);
  for (std::size_t i = 1; i < leases.size(); i += 2)
    CHECK(static_cast<unsigned char*>(leases[i].region.address)[17] == i % 251 + 1);
  for (std::size_t i = 0; i < leases.size(); i += 2) {
    leases[i] = take(4096, 0);
    CHECK_FALSE(leases[i].dirty);
    CHECK(static_cast<char*>(leases[i].region.address)[17] == 0);
  }
  CHECK(platform::fake::live_mappings() == 1);
  for (const Lease& lease : leases) give(lease);
}

TEST_CASE_FIXTURE(Pools, "a trim goes largest first, to about what was asked, of one node or all") {
  open();
  std::vector<Lease> leases;
  for (const int node : {0, 1}) {
    for (const std::uint64_t mib : {32, 16, 8, 4}) leases.push_back(take(mib * kMiB, node));
  }
  for (const Lease& lease : leases) give(lease);
  CHECK(pool->trim(10 * kMiB, 0) == 12 * kMiB);  // 8 fits, 4 covers the rest
  CHECK(of(0).retained_bytes == 48 * static_cast<std::int64_t>(kMiB));
  CHECK(of(0).trimmed_bytes == 12 * kMiB);
  CHECK(of(1).retained_bytes == 60 * static_cast<std::int64_t>(kMiB));
  CHECK(pool->trim(32 * kMiB, std::nullopt) == 32 * kMiB);
  CHECK(pool->trim(kMiB, 2) == 0);
  CHECK(pool->trim(std::nullopt, std::nullopt) == 76 * kMiB);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "of equals the oldest go first") {
  open();
  std::vector<Lease> leases;
  for (int i = 0; i < 4; ++i) leases.push_back(take(8 * kMiB, 0));
  for (const std::size_t i : {2u, 0u, 3u, 1u}) {
    platform::fake::process_script().now_ms.fetch_add(100);
    give(leases[i]);
  }
  pool->trim(16 * kMiB, std::nullopt);
  CHECK(take(8 * kMiB, 0).region.address == leases[1].region.address);
  CHECK(take(8 * kMiB, 0).region.address == leases[3].region.address);
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

TEST_CASE_FIXTURE(Pools, "buffers outlive their pool") {
  open();
  const Lease slab = take(4096, 0);
  const Lease own = take(4 * kMiB, 0);
  give(take(4096, 0));
  close();
  std::memset(slab.region.address, 1, slab.region.length);
  std::memset(own.region.address, 1, own.region.length);
  CHECK(platform::fake::live_mappings() == 2);
  give(own);
  CHECK(platform::fake::live_mappings() == 1);
  give(slab);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "a closed pool lends nothing") {
  open();
  give(take(kMiB, 0));
  pool->close();
  pool->close();
  CHECK(kind_of([&] { return take(kMiB, 0); }) == ErrorKind::kClosed);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "after a fork the child drops what was retained and keeps what is lent") {
  open();
  const Lease lent = take(4 * kMiB, 0);
  const Lease small = take(4096, 0);
  give(take(8 * kMiB, 0));
  const auto& process = platform::fake::process_script();
  process.before_fork();
  process.in_child();
  CHECK(total().retained_bytes == 0);
  const Lease fresh = take(8 * kMiB, 0);
  CHECK_FALSE(fresh.dirty);
  give(fresh);
  give(lent);  // shared with the parent, copy on write: not for reuse
  give(small);
  CHECK(total().retained_bytes == 8 * static_cast<std::int64_t>(kMiB));
  CHECK(total().in_use_bytes == 0);
  CHECK_FALSE(take(4096, 0).dirty);
}

TEST_CASE_FIXTURE(Pools, "many threads, few nodes: counts add up and nothing leaks") {
  open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      std::vector<Lease> mine;
      unsigned seed = static_cast<unsigned>(t) + 1;
      for (int i = 0; i < 3000; ++i) {
        seed = seed * 1664525U + 1013904223U;
        if ((seed >> 8) % 3 != 0 || mine.empty()) {
          mine.push_back(take(4096 + (seed >> 10) % 900'000, static_cast<int>((seed >> 4) % 3)));
          std::memset(mine.back().region.address, t + 1, 64);
        } else {
          const std::size_t at = (seed >> 12) % mine.size();
          CHECK(static_cast<char*>(mine[at].region.address)[63] == t + 1);
          give(mine[at]);
          mine[at] = mine.back();
          mine.pop_back();
        }
        if (mine.size() > 40) {
          give(mine.back());
          mine.pop_back();
        }
        if (i % 500 == 0) pool->trim(std::uint64_t{seed} % (4 * kMiB), std::nullopt);
      }
      for (const Lease& lease : mine) give(lease);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const PoolCounts counts = total();
  CHECK(counts.in_use_bytes == 0);
  CHECK(counts.retained_bytes >= 0);
  pool->trim(std::nullopt, std::nullopt);
  CHECK(total().retained_bytes == 0);
  CHECK(platform::fake::live_mappings() == 0);
}

}  // namespace numapool
