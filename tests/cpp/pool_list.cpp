// Lists of free blocks: order, times, and what is written to a block.
#include "pool/pool_list.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "failing_new.hpp"
#include "platform/fake/process_script.hpp"
#include "pool/pool_impl.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

struct Lists : Scripted {
  explicit Lists(std::size_t many = 40) : blocks(many) {}
  void give_top() {
    auto made = std::make_unique<ListTop>();
    list.give_top(made);
    CHECK(made == nullptr);
  }
  static void at(std::uint64_t ms) { platform::fake::process_script().now_ms = ms; }
  std::vector<PoolBlock*> all() {
    std::vector<PoolBlock*> found;
    for (PoolBlock* block = list.take_all(); block != nullptr; block = block->next)
      found.push_back(block);
    return found;
  }
  std::vector<PoolBlock> blocks;
  FreeList list;
};

}  // namespace

TEST_CASE_FIXTURE(Lists, "a list with a top files a block without writing to it") {
  give_top();
  PoolBlock before;
  std::memcpy(static_cast<void*>(&before), &blocks[0], sizeof before);
  list.push(blocks[0], 1000);
  CHECK(list.take(blocks[0].epoch + 1) == nullptr);
  CHECK(list.take(blocks[0].epoch) == blocks.data());
  CHECK(std::memcmp(&before, &blocks[0], sizeof before) == 0);
  CHECK(list.empty());
}

TEST_CASE_FIXTURE(Lists, "with a top and without, every block is on the list once") {
  for (const std::size_t first : {std::size_t{0}, std::size_t{5}, std::size_t{40}}) {
    FreeList some;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i == first) {
        auto made = std::make_unique<ListTop>();
        some.give_top(made);
      }
      some.push(blocks[i], i);
    }
    std::set<PoolBlock*> found;
    Handful taken;
    some.take_some(taken);
    CHECK(taken.count == Handful::kMost);
    found.insert(taken.blocks.begin(), taken.blocks.end());
    for (int i = 0; i < 4; ++i) found.insert(some.pop());
    for (int i = 0; i < 4; ++i) found.insert(some.take(0));
    CHECK_FALSE(some.empty());
    for (PoolBlock* block = some.take_all(); block != nullptr; block = block->next)
      found.insert(block);
    CHECK(found.size() == blocks.size());
    CHECK(found.count(nullptr) == 0);
    CHECK(some.empty());
    CHECK(some.pop() == nullptr);
    CHECK(some.take(0) == nullptr);
  }
}

TEST_CASE_FIXTURE(Lists, "last in, first out, as far as the top goes") {
  give_top();
  for (std::size_t i = 0; i < 10; ++i) list.push(blocks[i], i);
  CHECK(list.take(0) == &blocks[9]);
  CHECK(list.pop() == &blocks[8]);
  list.push_below(blocks[20]);
  blocks[21].next = &blocks[22];
  blocks[22].next = nullptr;
  list.push_all_below(blocks[21]);
  std::vector<PoolBlock*> expected;
  for (std::size_t i = 8; i-- > 0;) expected.push_back(&blocks[i]);
  for (const std::size_t i : {std::size_t{21}, std::size_t{22}, std::size_t{20}})
    expected.push_back(&blocks[i]);
  CHECK(all() == expected);
}

TEST_CASE_FIXTURE(Lists, "what was given back last is lent next, also where the top is full") {
  give_top();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    list.push(blocks[i], i);
    CHECK(list.take(0) == &blocks[i]);
    list.push(blocks[i], i);
  }
  at(1000);
  for (const PoolBlock* block : all())
    CHECK(block->filed_ms == static_cast<std::uint64_t>(block - blocks.data()));
}

TEST_CASE_FIXTURE(Lists, "blocks say when they came back, also where half of the time wraps") {
  give_top();
  const std::uint64_t turn = std::uint64_t{1} << 32;
  const std::uint64_t times[] = {turn - 7, turn - 1, turn, turn + 3, turn + 20 * 86'400'000};
  at(turn + 20 * 86'400'000);
  for (std::size_t i = 0; i < std::size(times); ++i) list.push(blocks[i], times[i]);
  CHECK(list.pop() == &blocks[4]);
  CHECK(blocks[4].filed_ms == times[4]);
  Handful taken;
  list.take_some(taken);
  REQUIRE(taken.count == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(taken.filed_ms[i] == times[3 - i]);
  at(turn - 2);  // the reader's clock was read a moment before
  list.push(blocks[0], turn + 1);
  CHECK(all().at(0)->filed_ms == turn + 1);
}

TEST_CASE_FIXTURE(Lists, "several blocks go to another list, each with its time") {
  give_top();
  at(1000);
  for (std::size_t i = 0; i < 30; ++i) list.push(blocks[i], i);
  std::vector<PoolBlock*> expected;
  FreeList other;
  for (const bool has_top : {false, true, true, true}) {
    if (has_top && other.top() == nullptr) {
      auto made = std::make_unique<ListTop>();
      other.give_top(made);
    }
    Handful taken;
    list.take_some(taken);
    other.push_some(taken);
    expected.insert(expected.end(), taken.blocks.begin(), taken.blocks.begin() + taken.count);
  }
  std::set<PoolBlock*> found;
  for (std::size_t i = 0; i < 30; ++i) {
    PoolBlock* const block = other.pop();
    REQUIRE(block != nullptr);
    CHECK(block->filed_ms == static_cast<std::uint64_t>(block - blocks.data()));
    found.insert(block);
  }
  CHECK(found == std::set<PoolBlock*>(expected.begin(), expected.end()));
  CHECK(other.empty());
}

TEST_CASE_FIXTURE(Lists, "a second top is left to who made it") {
  list.push(blocks[0], 1);
  give_top();
  list.push(blocks[1], 2);
  auto made = std::make_unique<ListTop>();
  list.give_top(made);
  CHECK(made != nullptr);
  CHECK(all() == std::vector<PoolBlock*>{&blocks[1], &blocks[0]});
}

TEST_CASE_FIXTURE(Pools, "blocks that came over are idle since they came back") {
  PoolOptions options;
  options.idle_ms = 3'600'000;
  open(options);
  auto& now = platform::fake::process_script().now_ms;
  std::vector<Lease> leases(4);
  on(0, [&] {
    for (Lease& lease : leases) lease = take(kMiB, 0);
  });
  on(1, [&] {
    for (const Lease& lease : leases) give(lease);
  });
  now += 3'000'000;
  on(0, [&] { give(take(kMiB, 0)); });  // all of them come over, and one is used
  CHECK(total().hits == 1);
  now += 600'000;
  static_cast<PoolImpl*>(pool)->trim_idle();
  CHECK(total().retained_bytes == kMiB);
}

TEST_CASE_FIXTURE(Pools, "without memory for a top, blocks come over all the same") {
  open();
  std::vector<Lease> leases(4);
  on(0, [&] {
    for (Lease& lease : leases) lease = take(kMiB, 0);
  });
  on(1, [&] {
    for (const Lease& lease : leases) give(lease);
  });
  on(2, [&] {
    give(take(kMiB, 1));  // its shard
    give(take(2 * kMiB, 0));
    Lease lease;
    bool found = false;
    bool failed = false;
    {
      const FailingNew fails(1);
      found = pool->try_acquire(kMiB, 0, lease);
      failed = fails.failed();
    }
    CHECK(found);
    CHECK(failed);
    give(lease);
  });
  CHECK(pool->trim(std::nullopt, std::nullopt) == 7 * kMiB);
  CHECK(total().retained_bytes == 0);
}

}  // namespace numapool
