// Failures where nothing can be thrown any more, or where it is too late to undo: memory goes back
// all the same, and policies stay as they were.
#include <doctest/doctest.h>

#include <cstring>
#include <new>

#include "failing_new.hpp"
#include "platform/fake/process_script.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Failure;

void throw_in(platform::fake::MemoryScript& script, const char* what) {
  script.before = [what](platform::fake::MemoryScript&, std::string_view call, int) {
    if (call == what) throw std::bad_alloc();
  };
}

}  // namespace

TEST_CASE_FIXTURE(Scripted, "munmap fails, and its words find no memory: the pages go back") {
  {
    const Allocation got = allocate(request(kMiB, 0));
    throw_in(memory(), "unmap");
  }
  CHECK(memory().calls["discard"] == 1);
  CHECK(platform::fake::resident_pages() == 0);
}

TEST_CASE_FIXTURE(Pools,
                  "a part of a slab that cannot be discarded for want of words stays whole") {
  open();
  const Lease stays = take(4096, 0);
  const Lease goes = take(4096, 0);
  std::memset(stays.region.address, 7, 4096);
  give(goes);
  throw_in(memory(), "discard");
  CHECK(pool->trim(std::nullopt, std::nullopt) == 0);
  memory().before = nullptr;
  CHECK(static_cast<const char*>(stays.region.address)[4095] == 7);
  CHECK(pool->trim(std::nullopt, std::nullopt) == platform::fake::kHugePage - 4096);
  give(stays);
}

TEST_CASE_FIXTURE(Pools, "a closed pool's last block of a slab that cannot be discarded") {
  open();
  const Lease last = take(4096, 0);
  pool->close();
  throw_in(memory(), "discard");
  give(last);
  memory().before = nullptr;
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools,
                  "a child that has no memory to list what it drops drops it the next time") {
  int k = 1;
  for (bool reached = true; reached && k < 50; ++k) {
    CAPTURE(k);
    open();
    for (const std::uint64_t bytes : {300'000, 600'000, 5000}) {
      const Lease first = take(bytes, 1);
      const Lease second = take(bytes, 1);
      give(first);
      give(second);
    }
    const auto& process = platform::fake::process_script();
    process.before_fork();
    process.in_child();
    {
      const FailingNew failing(k);
      pool->trim(std::nullopt, std::nullopt);
      reached = failing.failed();
    }
    pool->trim(std::nullopt, std::nullopt);
    CHECK(platform::fake::live_mappings() == 0);
    CHECK(total().retained_bytes == 0);
    close();
  }
  CHECK(k > 2);
  CHECK(k < 50);
}

TEST_CASE_FIXTURE(Pools, "a child's pool that is closed without memory to spare") {
  for (int k = 1; k < 10; ++k) {
    CAPTURE(k);
    open();
    const Lease small = take(4096, 0);
    for (const std::uint64_t bytes : {300'000, 600'000, 5000}) give(take(bytes, 1));
    const auto& process = platform::fake::process_script();
    process.before_fork();
    process.in_child();
    {
      const FailingNew failing(k);
      pool->close();
    }
    give(small);
    CHECK(platform::fake::live_mappings() == 0);
    close();
  }
}

TEST_CASE_FIXTURE(Scripted, "a refused migration leaves the policy as it was") {
  AllocationRequest wish = request(kMiB, 0);
  wish.populate = false;
  const Allocation got = allocate(wish);
  memory().failures["move_to_node"] = Failure{Cause::kRefused, "move_pages", 1, {}};
  const Region region = got.block.mapping.region();
  const auto [kind, words] = error_of([&] { return migrate(region, 2, kNoInterrupts); });
  CHECK(kind == ErrorKind::kUnsupported);
  CHECK(words.find("move_pages") != std::string::npos);
  REQUIRE(platform::populate(region.address, region.length, region.pages).ok());
  CHECK(placement_of(region).sole_node() == 0);
}

TEST_CASE_FIXTURE(Scripted, "an interrupted migration leaves the policy as it was") {
  AllocationRequest wish = request(kMiB, 1);
  wish.populate = false;
  const Allocation got = allocate(wish);
  const Region region = got.block.mapping.region();
  CHECK(kind_of([&] {
          return migrate(region, 2, [] { throw Error(ErrorKind::kInterrupted, ""); });
        }) == ErrorKind::kInterrupted);
  REQUIRE(platform::populate(region.address, region.length, region.pages).ok());
  CHECK(placement_of(region).sole_node() == 1);
}

}  // namespace numapool
