// Blocks of large classes on the scripted machine: how large they are, and who may have an idle
// one.
#include <doctest/doctest.h>

#include <thread>

#include "platform/thread.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

constexpr std::uint64_t kHeader = 300;

struct Sizes : Pools {
  // What a block costs beside what is asked for.
  std::uint64_t block_of(std::uint64_t bytes) {
    const Lease lease = take(bytes, 0);
    const std::uint64_t length = lease.region.length;
    give(lease);
    pool->trim(std::nullopt, std::nullopt);
    return length;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Sizes, "a frame and its header take a sixteenth more at most") {
  open();
  for (const std::uint64_t frame : {kMiB, 2 * kMiB, 16 * kMiB, 32 * kMiB, 64 * kMiB, 128 * kMiB}) {
    const std::uint64_t length = block_of(frame + kHeader);
    CHECK(length >= frame + kHeader);
    CHECK(length <= frame * 17 / 16);
  }
  CHECK(block_of(32 * kMiB + kHeader) == 34 * kMiB);
  CHECK(total().larger_hits == 0);
}

TEST_CASE_FIXTURE(Sizes, "of huge pages, what is not used is less than one, or a sixteenth") {
  memory().hugetlb = {{platform::fake::kHugePage, 256, 256}};
  PoolOptions options;
  options.page = {PageRequest::Kind::kHugetlb, platform::fake::kHugePage};
  open(options);
  for (std::uint64_t asked = kMiB; asked < 100 * kMiB; asked += 3 * kMiB + 17) {
    const std::uint64_t length = block_of(asked);
    CHECK(length % platform::fake::kHugePage == 0);
    CHECK(length - asked <= std::max<std::uint64_t>(platform::fake::kHugePage - 1, asked / 16));
  }
}

TEST_CASE_FIXTURE(Sizes, "an idle block of one of the three next classes serves, and is counted") {
  open();
  give(take(40 * kMiB, 0));
  const auto calls = memory().calls;
  const Lease lease = take(32 * kMiB + kHeader, 0);  // of 34 MiB
  CHECK(lease.region.length == 40 * kMiB);
  CHECK(memory().calls == calls);
  CHECK(of(0).hits == 1);
  CHECK(of(0).larger_hits == 1);
  CHECK(of(0).in_use_bytes == 40 * kMiB);
  give(lease);
  CHECK(of(0).retained_bytes == 40 * kMiB);  // it stays what it is
  give(take(40 * kMiB, 0));
  CHECK(of(0).hits == 2);
  CHECK(of(0).larger_hits == 1);
}

TEST_CASE_FIXTURE(Sizes,
                  "a block that is larger still, or smaller, or of another node does not serve") {
  open();
  give(take(42 * kMiB, 0));
  give(take(32 * kMiB, 0));
  give(take(36 * kMiB, 1));
  const Lease lease = take(34 * kMiB, 0);
  CHECK(lease.region.length == 34 * kMiB);
  CHECK(of(0).hits == 0);
  CHECK(of(0).misses == 3);
  give(lease);
}

TEST_CASE_FIXTURE(Sizes, "a block of the class itself goes first, then the smallest that will do") {
  open();
  const Lease a = take(34 * kMiB, 0);
  const Lease b = take(36 * kMiB, 0);
  const Lease c = take(38 * kMiB, 0);
  for (const Lease& one : {c, b, a}) give(one);
  for (const Lease& expected : {a, b, c}) {
    const Lease lease = take(33 * kMiB, 0);
    CHECK(lease.region.address == expected.region.address);
  }
  CHECK(of(0).larger_hits == 2);
  for (const Lease& one : {a, b, c}) give(one);
}

TEST_CASE_FIXTURE(Sizes, "what another CPU retains serves as well, and a strict request too") {
  open();
  const auto elsewhere = [&](std::uint64_t bytes) {
    std::thread([&] {
      const int cpus[] = {1};
      platform::prepare_worker(cpus);
      give(take(bytes, 0));
    }).join();
  };
  elsewhere(36 * kMiB);
  const Lease lease = take(34 * kMiB, 0);
  CHECK(lease.region.length == 36 * kMiB);
  give(lease);
  const Lease strict = take(34 * kMiB, 0, true);
  CHECK(strict.region.address == lease.region.address);
  CHECK(of(0).hits == 2);
  CHECK(of(0).larger_hits == 2);
  give(strict);
}

TEST_CASE_FIXTURE(Sizes, "up to 1 MiB a request has blocks of its own class alone") {
  open();
  give(take(kMiB, 0));
  give(take(kMiB + kHeader, 0));
  const Lease lease = take(896 << 10, 0);
  CHECK(lease.region.length == 896 << 10);
  give(lease);
  const Lease whole = take(kMiB, 0);
  CHECK(whole.region.length == kMiB);
  give(whole);
  CHECK(total().larger_hits == 0);
}

TEST_CASE_FIXTURE(Sizes, "a reserve makes blocks of the size, whatever larger ones there are") {
  open();
  give(take(36 * kMiB, 0));
  CHECK(pool->reserve(34 * kMiB, 0, 0, kNoInterrupts, {}) == 1);
  CHECK(of(0).retained_bytes == 70 * kMiB);
}

TEST_CASE_FIXTURE(Sizes, "a size that no pool has a block of is refused") {
  open();
  for (const std::uint64_t size :
       {(std::uint64_t{1} << 46) + 1, std::uint64_t{1} << 62, UINT64_MAX}) {
    CHECK(kind_of([&] { return take(size, 0); }) == ErrorKind::kNoMemory);
    CHECK(kind_of([&] { return pool->reserve(size, 0, 0, kNoInterrupts, {}); }) ==
          ErrorKind::kNoMemory);
  }
  CHECK(memory().calls["map"] == 0);
}

}  // namespace numapool
