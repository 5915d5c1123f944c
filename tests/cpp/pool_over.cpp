// Blocks that one CPU's threads take and another's give back: they come over several at a time.
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "numapool/turn.hpp"
#include "platform/fake/process_script.hpp"
#include "platform/thread.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

constexpr int kProducer = 0;
constexpr int kConsumer = 1;  // of the same node

struct Over : Pools {
  // The fast path alone.
  [[nodiscard]] bool quick(std::uint64_t bytes, Lease& lease) const {
    return pool->try_acquire(bytes, 0, lease);
  }
  // Blocks that the producer took and the consumer gave back.
  void hand_over(std::size_t blocks, std::uint64_t bytes) {
    std::vector<Lease> leases(blocks);
    on(kProducer, [&] {
      for (Lease& lease : leases) lease = take(bytes, 0);
    });
    on(kConsumer, [&] {
      for (const Lease& lease : leases) give(lease);
    });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Over, "what another CPU gave back is found without the slow path") {
  open();
  hand_over(40, kMiB);
  const PoolCounts before = total();
  CHECK(before.retained_bytes == 40 * kMiB);
  on(kProducer, [&] {
    std::vector<Lease> leases(40);
    for (Lease& lease : leases) CHECK(quick(kMiB, lease));
    CHECK(total().retained_bytes == 0);
    CHECK(total().in_use_bytes == 40 * kMiB);
    CHECK(total().hits == before.hits + 40);
    CHECK(total().misses == before.misses);
    Lease none;
    CHECK_FALSE(quick(kMiB, none));
    for (const Lease& lease : leases) give(lease);
  });
  CHECK(pool->trim(std::nullopt, std::nullopt) == 40 * kMiB);
}

TEST_CASE_FIXTURE(Over, "what came over is retained, and a trim on any CPU takes it") {
  open();
  hand_over(20, kMiB);
  Lease lease;
  on(kProducer, [&] { CHECK(quick(kMiB, lease)); });
  CHECK(total().retained_bytes == 19 * kMiB);
  CHECK(of(0).retained_bytes == 19 * kMiB);
  CHECK(pool->trim(std::nullopt, 0) == 19 * kMiB);
  CHECK(total().retained_bytes == 0);
  give(lease);
}

TEST_CASE_FIXTURE(Over, "a larger block comes over where the class has none") {
  open();
  hand_over(1, 17 * kMiB / 8);
  on(kProducer, [&] {
    Lease lease;
    CHECK(quick(2 * kMiB, lease));
    CHECK(lease.region.length == 17 * kMiB / 8);
    give(lease);
  });
  CHECK(total().larger_hits == 1);
}

TEST_CASE_FIXTURE(Over, "blocks of a node that is not asked for stay where they are") {
  open();
  hand_over(1, kMiB);
  on(kProducer, [&] {
    Lease lease;
    CHECK_FALSE(pool->try_acquire(kMiB, 1, lease));
  });
  CHECK(of(0).retained_bytes == kMiB);
}

TEST_CASE_FIXTURE(Over, "a block whose pages may have moved is for the slow path") {
  open();
  hand_over(3, kMiB);
  platform::fake::process_script().page_moves += 1;
  platform::fake::process_script().now_ms += 2000;
  static_cast<void>(total());  // looks
  on(kProducer, [&] {
    Lease lease;
    CHECK_FALSE(quick(kMiB, lease));
    give(take(kMiB, 0));
  });
  CHECK(total().retained_bytes == 3 * kMiB);
  CHECK(total().misses == 3);
}

TEST_CASE_FIXTURE(Over, "while a task is in line, whoever finds blocks serves it") {
  PoolOptions options;
  options.max_bytes = 4 * kMiB;
  open(options);
  const Lease held = take(2 * kMiB, 0);
  const auto box = std::make_shared<TurnBox>();
  AcquireRequest request;
  request.size_bytes = 3 * kMiB;
  request.nodes = 0;
  Lease lease;
  const std::shared_ptr<Turn> turn =
      pool->join_line(request, box, {1, false}, lease, kNoInterrupts, {});
  REQUIRE(turn != nullptr);
  hand_over(2, kMiB);
  CHECK(total().retained_bytes == 2 * kMiB);
  on(kProducer, [&] {
    Lease block;
    CHECK_FALSE(quick(kMiB, block));
    block = take(kMiB, 0);
    CHECK(total().hits == 1);
    give(block);
  });
  CHECK(box->take().empty());
  give(held);
  CHECK(box->take().size() == 1);
}

TEST_CASE_FIXTURE(Over, "retain_bytes holds wherever blocks are given back") {
  PoolOptions options;
  options.retain_bytes = 8 * kMiB;
  open(options);
  std::minstd_rand random(1);
  std::vector<Lease> leases;
  std::int64_t in_use = 0;
  bool holds = true;
  for (int step = 0; step < 400; ++step) {
    on(static_cast<int>(random() % 3), [&] {
      if (leases.size() < 24 && random() % 2 == 0) {
        leases.push_back(take((1 + random() % 2) * kMiB, 0));
        in_use += static_cast<std::int64_t>(leases.back().region.length);
      } else if (!leases.empty()) {
        in_use -= static_cast<std::int64_t>(leases.back().region.length);
        give(leases.back());
        leases.pop_back();
      }
    });
    const PoolCounts counts = total();
    holds = holds && counts.retained_bytes <= static_cast<std::int64_t>(8 * kMiB) &&
            counts.in_use_bytes == in_use;
  }
  CHECK(holds);
  for (const Lease& lease : leases) give(lease);
  CHECK(pool->trim(std::nullopt, std::nullopt) <= 8 * kMiB);
  CHECK(total().retained_bytes == 0);
}

// Each block says who has it: nobody else may.
TEST_CASE_FIXTURE(Over, "threads: producers, consumers and trims never share a block") {
  open();
  constexpr int kBlocks = 400;
  std::mutex mutex;
  std::deque<Lease> queue;
  std::atomic<int> left{2 * kBlocks};
  std::atomic<int> wrong{0};
  const auto plays = [&](int cpu, const auto& work) {
    return std::jthread([&wrong, cpu, work] {
      const int cpus[] = {cpu};
      platform::prepare_worker(cpus);
      work(static_cast<char>(cpu + 1));
    });
  };
  const auto produce = [&](char mark) {
    for (int i = 0; i < kBlocks; ++i) {
      const Lease lease = take(kMiB, 0);
      auto* const bytes = static_cast<char*>(lease.region.address);
      bytes[0] = mark;
      std::this_thread::yield();
      if (bytes[0] != mark) wrong.fetch_add(1);
      const std::lock_guard guard(mutex);
      queue.push_back(lease);
    }
  };
  const auto consume = [&](char mark) {
    while (left.load() > 0) {
      std::optional<Lease> lease;
      {
        const std::lock_guard guard(mutex);
        if (!queue.empty()) {
          lease = queue.front();
          queue.pop_front();
        }
      }
      if (!lease) {
        std::this_thread::yield();
        continue;
      }
      auto* const bytes = static_cast<char*>(lease->region.address);
      bytes[0] = mark;
      if (bytes[0] != mark) wrong.fetch_add(1);
      give(*lease);
      left.fetch_sub(1);
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.push_back(plays(0, produce));
    threads.push_back(plays(1, produce));
    threads.push_back(plays(2, consume));
    threads.push_back(plays(3, consume));
    threads.push_back(plays(4, [&](char) {
      while (left.load() > 0) {
        pool->trim(4 * kMiB, 0);
        static_cast<void>(total());
        std::this_thread::yield();
      }
    }));
  }
  CHECK(wrong == 0);
  CHECK(total().in_use_bytes == 0);
  CHECK(total().hits + total().misses == 2 * kBlocks);
  pool->trim(std::nullopt, std::nullopt);
  CHECK(total().retained_bytes == 0);
}

}  // namespace numapool
