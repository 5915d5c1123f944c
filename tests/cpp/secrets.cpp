// Memory for secrets: no core dump holds it, and where that cannot be had there is an error.
#include <doctest/doctest.h>

#include "numapool/ring.hpp"
#include "pools.hpp"

namespace numapool {

using platform::Cause;
using platform::Failure;

TEST_CASE_FIXTURE(Scripted, "an allocation is left out of core dumps before it is populated") {
  AllocationRequest wish = request(kMiB, 0);
  wish.core_dump = false;
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int) {
    if (call == "populate") CHECK(script.calls["keep_out_of_dumps"] == 1);
  };
  const Allocation got = allocate(wish);
  memory().before = nullptr;
  CHECK(platform::fake::dumped_mappings() == 0);
  InterleaveRequest spread;
  spread.size_bytes = kMiB;
  spread.core_dump = false;
  const Allocation wide = Allocator(topology()).allocate_interleaved(spread, kNoInterrupts);
  CHECK(platform::fake::dumped_mappings() == 0);
  const Allocation plain = allocate(request(kMiB, 0));
  CHECK(platform::fake::dumped_mappings() == 1);
}

TEST_CASE_FIXTURE(Scripted, "memory that would be dumped all the same is not handed out") {
  AllocationRequest wish = request(kMiB, 0);
  wish.core_dump = false;
  memory().failures["keep_out_of_dumps"] =
      Failure{Cause::kInvalid, "madvise(MADV_DONTDUMP)", 22, {}};
  const auto [kind, words] = error_of([&] { return allocate(wish); });
  CHECK(kind == ErrorKind::kSystem);
  CHECK(words.find("core dumps: madvise(MADV_DONTDUMP)") != std::string::npos);
  memory().failures["keep_out_of_dumps"].cause = Cause::kRefused;
  CHECK(kind_of([&] { return allocate(wish); }) == ErrorKind::kUnsupported);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Pools, "nothing of a pool that is not dumped is dumped") {
  PoolOptions options;
  options.core_dump = false;
  open(options);
  const Lease small = take(4096, 0);
  const Lease large = take(3 * kMiB, 1);
  const Lease strict = take(600'000, 2, true);
  pool->reserve(kMiB, 1, 0, kNoInterrupts, {});
  RingOptions shape;
  shape.block_bytes = 5000;
  shape.count = 3;
  Ring* const ring = Ring::open(*pool, shape, kNoInterrupts, {});
  CHECK(platform::fake::live_mappings() == 5);
  CHECK(platform::fake::dumped_mappings() == 0);
  ring->drop();
  for (const Lease& lease : {small, large, strict}) give(lease);
}

}  // namespace numapool
