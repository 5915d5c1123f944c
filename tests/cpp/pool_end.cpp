// The end of pools, forks, and many threads on one pool.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "platform/fake/process_script.hpp"
#include "pools.hpp"

namespace numapool {

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

TEST_CASE_FIXTURE(Pools,
                  "a pool that is closed while a slab is made: the slab goes with its last block") {
  open();
  bool once = true;
  memory().before = [&](platform::fake::MemoryScript&, std::string_view call, int) {
    if (call == "residency" && std::exchange(once, false)) pool->close();
  };
  const Lease lease = take(4096, 0);
  REQUIRE(pool->closed());
  CHECK(platform::fake::live_mappings() == 1);
  give(lease);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "a pool that is closed while a trimmed block fails to come back") {
  open();
  const Lease first = take(4096, 0);
  pool->trim(std::nullopt, std::nullopt);
  const int before = memory().calls["populate"];
  memory().failures_at["populate"][before + 1] =
      platform::Failure{platform::Cause::kNoMemory, "madvise", 12, {}};
  memory().before = [&](platform::fake::MemoryScript&, std::string_view call, int count) {
    if (call == "populate" && count == before + 1) pool->close();
  };
  const Lease second = take(4096, 0);
  REQUIRE(pool->closed());
  give(first);
  CHECK(platform::fake::live_mappings() == 1);  // the second's
  give(second);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "a pool that is closed while a strict acquire looks at a split block") {
  open();
  const Lease split = take(kMiB, 1);
  give(split);
  // Half of it was moved away since: not for a strict request.
  static_cast<void>(platform::move_to_node(split.region.address, kMiB / 2, split.region.pages, 2));
  bool once = true;
  memory().before = [&](platform::fake::MemoryScript&, std::string_view call, int) {
    if (call == "residency" && std::exchange(once, false)) pool->close();
  };
  const Lease whole = take(kMiB, 1, true);
  REQUIRE(pool->closed());
  CHECK(whole.place.node_id == 1);
  CHECK(platform::fake::live_mappings() == 1);  // the split one is gone
  give(whole);
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
  const Lease again = take(4096, 0);
  CHECK_FALSE(again.dirty);
  give(again);
}

TEST_CASE_FIXTURE(Pools, "a slab goes with the last of its blocks, in a child as well") {
  open();
  const Lease small = take(4096, 0);
  const auto& process = platform::fake::process_script();
  process.before_fork();
  process.in_child();
  give(small);
  CHECK(platform::fake::live_mappings() == 1);
  pool->trim(std::nullopt, std::nullopt);  // what the parent retained
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "what cannot be given back after a fork is the child's to use again") {
  open();
  const Lease small = take(4096, 0);
  const auto& process = platform::fake::process_script();
  process.before_fork();
  process.in_child();
  memory().failures["discard"] = platform::Failure{platform::Cause::kOther, "madvise", 22, {}};
  give(small);
  memory().failures.clear();
  CHECK(total().in_use_bytes == 0);
  CHECK(total().retained_bytes == 4096);
  const Lease again = take(4096, 0);
  CHECK(again.region.address == small.region.address);
  CHECK(again.dirty);
  give(again);
  close();
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "many threads, few nodes: counts add up and nothing leaks" * slow()) {
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

TEST_CASE_FIXTURE(Pools, "a pool is closed while threads use it: all of it goes back" * slow()) {
  for (int round = 0; round < 60; ++round) {
    open();
    std::atomic<int> busy{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
      threads.emplace_back([this, t, &busy] {
        std::vector<Lease> mine;
        try {
          for (unsigned i = 0;; ++i) {
            const std::uint64_t bytes = i % 5 == 0 ? 300'000 : 4096 * (1 + i % 3);
            mine.push_back(take(bytes, static_cast<int>((t + i) % 3)));
            if (i == 5) busy.fetch_add(1);
            if (i % 2 == 1) {
              give(mine.front());
              mine.erase(mine.begin());
            }
            if (i % 7 == 0) pool->trim(64 * 4096, std::nullopt);
          }
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::kClosed);
        }
        for (const Lease& lease : mine) give(lease);
      });
    }
    while (busy != 3) std::this_thread::yield();
    pool->close();
    for (std::thread& thread : threads) thread.join();
    CHECK(total().in_use_bytes == 0);
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  }
}

}  // namespace numapool
