// What pools retain, and what a trim gives back: blocks, slabs, and parts of slabs.
#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <vector>

#include "platform/fake/process_script.hpp"
#include "pool/pool_impl.hpp"
#include "pools.hpp"

namespace numapool {

using platform::Cause;
using platform::Failure;

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

TEST_CASE_FIXTURE(Pools,
                  "by default no more is held than was in use at once, and an eighth" * slow()) {
  open();
  for (std::uint64_t size = 20 * kMiB; size < 180 * kMiB; size += 7 * kMiB) {
    const Lease lease = take(size, 0);
    CHECK(total().high_water_bytes <= 9 * (lease.region.length + kMiB) / 8 + 64 * kMiB);
    give(lease);
  }
}

TEST_CASE_FIXTURE(Pools, "what failed raises neither what a pool retains nor its high water") {
  PoolOptions options;
  SUBCASE("without a cap") {}
  SUBCASE("under a cap") { options.max_bytes = std::uint64_t{1} << 40; }
  open(options);
  const std::uint64_t more = std::uint64_t{1} << 39;
  CHECK(kind_of([&] { return take(more, 1); }) == ErrorKind::kNoMemory);
  CHECK(kind_of([&] { return take(more, 1, true); }) == ErrorKind::kPlacement);
  CHECK(kind_of([&] { return pool->reserve(more, 1, 0, kNoInterrupts, {}); }) ==
        ErrorKind::kNoMemory);
  CHECK(kind_of([&] { return pool->take_fixed(more, 1, false, kNoInterrupts).block.size_bytes; }) ==
        ErrorKind::kNoMemory);
  CHECK(total().high_water_bytes == 0);
  CHECK(of(1).high_water_bytes == 0);
  for (std::uint64_t mib = 10; mib <= 50; mib += 10) give(take(mib * kMiB, 1));
  CHECK(total().retained_bytes <= 64 * static_cast<std::int64_t>(kMiB));
  CHECK(total().high_water_bytes <= 2 * 64 * kMiB);
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
  const Lease last = take(8 * kMiB, 0);
  const Lease before = take(8 * kMiB, 0);
  CHECK(last.region.address == leases[1].region.address);
  CHECK(before.region.address == leases[3].region.address);
  give(last);
  give(before);
}

TEST_CASE_FIXTURE(Pools, "a block that comes back while an idle trim begins is not idle") {
  PoolOptions options;
  options.idle_ms = 3'600'000;
  const auto trim_idle = [this] { static_cast<PoolImpl*>(pool)->trim_idle(); };
  auto& now_ms = platform::fake::process_script().now_ms;
  const std::uint64_t begin = now_ms + 1000;
  for (const std::uint64_t bytes : {std::uint64_t{5000}, kMiB}) {
    CAPTURE(bytes);
    now_ms = begin;
    open(options);
    const Lease lent = take(bytes, 1);
    now_ms = begin + 4;  // the clock ticks between the trim's look at it and the release
    give(lent);
    now_ms = begin;
    trim_idle();
    CHECK(total().trimmed_bytes == 0);
    now_ms = begin + 3'599'999;
    trim_idle();
    CHECK(total().trimmed_bytes == 0);
    now_ms = begin + 3'600'004;
    trim_idle();
    CHECK(total().retained_bytes == 0);
    close();
  }
}

TEST_CASE_FIXTURE(Pools, "the oldest block is the oldest after 49 days as well") {
  open();
  auto& now_ms = platform::fake::process_script().now_ms;
  const Lease first = take(8 * kMiB, 0);
  const Lease second = take(8 * kMiB, 0);
  give(first);
  now_ms = now_ms + (std::uint64_t{1} << 32) + 10;  // where 32 bits of milliseconds wrap round
  give(second);
  now_ms = now_ms + 5;
  CHECK(pool->trim(8 * kMiB, std::nullopt) == 8 * kMiB);
  const Lease left = take(8 * kMiB, 0);
  CHECK(left.region.address == second.region.address);
  give(left);
}

TEST_CASE_FIXTURE(Pools, "what a reserve adds is not given back for what it adds next") {
  const auto reserve_all = [this](std::uint64_t bytes) {
    std::uint64_t added = 0;
    ErrorKind ending{};
    while (added < 100) {
      try {
        added += pool->reserve(bytes, 0, added, kNoInterrupts, {});
      } catch (const Error& error) {
        ending = error.kind();
        break;
      }
    }
    CHECK(ending == ErrorKind::kNoMemory);
    CHECK(added > 0);
    CHECK(total().retained_bytes == added * bytes);
    CHECK(total().trimmed_bytes == 0);
  };
  SUBCASE("no address space is left") {
    memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
      if (call == "map" && count > 3)
        script.failures_at["map"][count] = Failure{Cause::kNoMemory, "mmap", 12, {}};
    };
    open();
    reserve_all(4 * kMiB);
    memory().before = nullptr;
  }
  SUBCASE("the machine is full") {
    for (const int id : {0, 1, 2}) memory().rooms[id] = {10 * kMiB, 0};
    open();
    reserve_all(4 * kMiB);
  }
}

}  // namespace numapool
