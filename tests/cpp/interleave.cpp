// Interleaving and migration on the scripted machine.
#include <doctest/doctest.h>

#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using platform::Cause;
using platform::Failure;

struct Spread : Scripted {
  static InterleaveRequest spread(std::uint64_t bytes, std::vector<int> nodes) {
    InterleaveRequest out;
    out.size_bytes = bytes;
    out.nodes = std::move(nodes);
    out.page.kind = PageRequest::Kind::kBase;
    return out;
  }
  static Allocation interleave(const InterleaveRequest& request) {
    return Allocator(topology()).allocate_interleaved(request, kNoInterrupts);
  }
};

TEST_CASE_FIXTURE(Spread, "pages go round the nodes") {
  const Allocation got = interleave(spread(6 * kMiB, {0, 2}));
  CHECK(where(got).bytes_by_node == Bytes{{0, 3 * kMiB}, {2, 3 * kMiB}});
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK_FALSE(got.block.place.requested_node);
  CHECK(where(interleave(spread(6 * kMiB, {}))).bytes_by_node.size() == 3);
}

TEST_CASE_FIXTURE(Spread, "a node that is short of memory shows") {
  memory().rooms[2].free_bytes = kMiB;
  CHECK(interleave(spread(12 * kMiB, {0, 2})).block.place.step == AllocationStep::kAny);
  InterleaveRequest strict = spread(12 * kMiB, {0, 2});
  strict.strict = true;
  CHECK(kind_of([&] { return interleave(strict); }) == ErrorKind::kPlacement);
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Spread, "weights need a kernel that has them, and are the system's") {
  InterleaveRequest weighted = spread(8 * kMiB, {0, 1});
  weighted.weighted = true;
  CHECK(kind_of([&] { return interleave(weighted); }) == ErrorKind::kUnsupported);
  memory().weights = {{0, 3}, {1, 1}, {2, 1}};
  CHECK(where(interleave(weighted)).bytes_by_node == Bytes{{0, 6 * kMiB}, {1, 2 * kMiB}});
  weighted.weights = {1, 3};
  CHECK(kind_of([&] { return interleave(weighted); }) == ErrorKind::kUnsupported);
  weighted.weights = {6, 2};  // the same ratio
  CHECK(where(interleave(weighted)).bytes_by_node == Bytes{{0, 6 * kMiB}, {1, 2 * kMiB}});
  weighted.weights = {3};
  CHECK(kind_of([&] { return interleave(weighted); }) == ErrorKind::kInvalidArgument);
}

TEST_CASE_FIXTURE(Spread, "what is refused or hidden degrades, or raises if strict") {
  InterleaveRequest strict = spread(2 * kMiB, {0, 1});
  strict.strict = true;
  memory().pages_hidden = true;
  const Allocation hidden = interleave(spread(2 * kMiB, {0, 1}));
  REQUIRE(hidden.degradations.size() == 1);
  CHECK(hidden.degradations.front().cause == Degradation::Cause::kNotVerified);
  CHECK(kind_of([&] { return interleave(strict); }) == ErrorKind::kUnsupported);
  memory().pages_hidden = false;
  memory().failures["set_policy"] = Failure{Cause::kRefused, "mbind", 1, {}};
  const Allocation refused = interleave(spread(2 * kMiB, {0, 1}));
  CHECK(refused.block.place.step == AllocationStep::kUnbound);
  CHECK_FALSE(refused.block.place.bound);
  REQUIRE(refused.degradations.size() == 1);
  CHECK(refused.degradations.front().cause == Degradation::Cause::kPolicyRefused);
  CHECK(kind_of([&] { return interleave(strict); }) == ErrorKind::kUnsupported);
}

TEST_CASE_FIXTURE(Spread, "more than there is is refused before a page is touched, spread or not") {
  CHECK(kind_of([&] { return interleave(spread(500 * kMiB, {0, 1})); }) == ErrorKind::kNoMemory);
  CHECK(memory().calls["map"] == 0);
  CHECK(kind_of([&] { return interleave(spread(0, {0})); }) == ErrorKind::kInvalidArgument);
}

TEST_CASE_FIXTURE(Spread, "of an interleaved allocation the k-th call fails") {
  for (const char* const call : {"map", "set_policy", "populate", "residency", "available"}) {
    for (const Cause cause : {Cause::kNoMemory, Cause::kRefused}) {
      for (int k = 1; k < 20; ++k) {
        CAPTURE(call);
        CAPTURE(k);
        platform::fake::reset_memory();
        for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
        memory().failures_at[call][k] = Failure{cause, call, 5, "on purpose"};
        try {
          const Allocation got = interleave(spread(12 * kMiB, {0, 2}));
          CHECK(got.block.mapping.length() == 12 * kMiB);
        } catch (const Error& error) {
          CHECK((error.kind() == ErrorKind::kNoMemory || error.kind() == ErrorKind::kSystem));
        }
        CHECK(memory().misuses == 0);
        CHECK(platform::fake::live_mappings() == 0);
        if (memory().calls[call] < k) break;
      }
    }
  }
}

TEST_CASE_FIXTURE(Spread, "nodes that cannot take part") {
  CHECK(kind_of([&] { return interleave(spread(kMiB, {0, 9})); }) == ErrorKind::kNodeNotFound);
  platform::fake::topology_script().allowed = {0};
  CHECK(kind_of([&] { return interleave(spread(kMiB, {0, 1})); }) == ErrorKind::kPlacement);
}

TEST_CASE_FIXTURE(Scripted, "migration moves every byte that fits, and says what came of it") {
  const Allocation got = allocate(request(8 * kMiB, 0));
  const Region region = got.block.mapping.region();
  auto* const bytes = static_cast<unsigned char*>(region.address);
  for (std::size_t i = 0; i < region.length; i += 4096) bytes[i] = static_cast<unsigned char>(i);
  const Migration moved = migrate(region, 2, kNoInterrupts);
  CHECK(moved.placement.bytes_by_node == Bytes{{2, 8 * kMiB}});
  CHECK(moved.place.step == AllocationStep::kPreferred);
  CHECK(moved.place.requested_node == 2);
  memory().rooms[1].free_bytes = 3 * kMiB;
  const Migration partly = migrate(region, 1, kNoInterrupts);
  CHECK(partly.placement.bytes_by_node == Bytes{{1, 3 * kMiB}, {2, 5 * kMiB}});
  CHECK(partly.place.step == AllocationStep::kAny);
  for (std::size_t i = 0; i < region.length; i += 4096)
    REQUIRE(bytes[i] == static_cast<unsigned char>(i));
}

TEST_CASE_FIXTURE(Scripted, "migration that is refused leaves the memory where it is") {
  const Allocation got = allocate(request(kMiB, 0));
  memory().failures["move_to_node"] = Failure{Cause::kRefused, "move_pages", 1, {}};
  CHECK(kind_of([&] { return migrate(got.block.mapping.region(), 1, kNoInterrupts); }) ==
        ErrorKind::kUnsupported);
  CHECK(where(got).bytes_by_node == Bytes{{0, kMiB}});
}

}  // namespace numapool
