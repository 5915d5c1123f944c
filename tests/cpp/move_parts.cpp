// Large regions are moved in parts, by threads on the CPUs of the node they go to.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

#include "memory/move_parts.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/object_memory.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Failure;

struct InParts : Scripted {
  InParts() {
    for (const int id : {0, 1, 2}) memory().rooms[id] = {512 * kMiB, 0};
    renewed_topology();
    AllocationRequest wish = request(130 * kMiB, 0);
    wish.populate = false;
    got = allocate(wish);
    region = got.block.mapping.region();
    // A few pages of each part.
    for (const std::uint64_t at : {0, 63, 64, 128})
      REQUIRE(platform::populate(static_cast<char*>(region.address) + at * kMiB, kMiB, region.pages)
                  .ok());
    memory().worker_cpus.clear();
  }
  Allocation got;
  Region region;
};

}  // namespace

TEST_CASE_FIXTURE(InParts, "a large region is moved by threads on the CPUs of the node") {
  const Migration moved = migrate(region, 1, kNoInterrupts);
  CHECK(moved.placement.bytes_by_node == std::map<int, std::uint64_t>{{1, 4 * kMiB}});
  CHECK(memory().worker_cpus == std::vector<std::vector<int>>{{2, 3}, {2, 3}});
  CHECK(memory().calls["move_to_node"] == 3);
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(InParts, "one CPU needs no threads") {
  const Migration moved = migrate(region, 2, kNoInterrupts);
  CHECK(moved.placement.bytes_by_node == std::map<int, std::uint64_t>{{2, 4 * kMiB}});
  CHECK(memory().worker_cpus.empty());
}

TEST_CASE_FIXTURE(InParts, "one thread makes few calls, and several have parts of their own") {
  const Movers one(2);  // with one CPU
  CHECK(one.part_bytes(kMiB) == 256 * kMiB);
  CHECK(one.part_bytes(4096 * kMiB) == 256 * kMiB);
  const Movers two(1);
  CHECK(two.part_bytes(kMiB) == 64 * kMiB);
  CHECK(two.part_bytes(512 * kMiB) == 128 * kMiB);
  CHECK(two.part_bytes(516 * kMiB) == 192 * kMiB);
  CHECK(two.part_bytes(std::uint64_t{1} << 40) == 256 * kMiB);
}

TEST_CASE_FIXTURE(InParts, "a part that is refused ends the move, and the policy stays") {
  memory().failures_at["move_to_node"][2] = Failure{Cause::kRefused, "move_pages", 1, {}};
  CHECK(kind_of([&] { return migrate(region, 1, kNoInterrupts); }) == ErrorKind::kUnsupported);
  REQUIRE(
      platform::populate(static_cast<char*>(region.address) + 100 * kMiB, kMiB, region.pages).ok());
  const Placement seen = placement_of(region);
  CHECK(seen.bytes_on(0) >= kMiB);
  CHECK(seen.bytes_on(0) + seen.bytes_on(1) == 5 * kMiB);
}

TEST_CASE_FIXTURE(InParts, "an interrupt ends the threads") {
  std::atomic<int> checks{0};
  memory().before = [&checks](auto&, std::string_view call, int) {
    while (call == "move_to_node" && checks < 2)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  CHECK(kind_of([&] {
          return migrate(region, 1, [&checks] {
            if (++checks == 2) throw Error(ErrorKind::kInterrupted, "");
          });
        }) == ErrorKind::kInterrupted);
  memory().before = nullptr;
  CHECK(memory().calls["move_to_node"] <= 2);
}

TEST_CASE_FIXTURE(InParts, "a huge page that is one in part only is moved by its pages") {
  memory().rooms[2].free_bytes = 3 * kMiB;
  const Migration moved = migrate(region, 2, kNoInterrupts);
  CHECK(moved.placement.bytes_by_node == std::map<int, std::uint64_t>{{0, kMiB}, {2, 3 * kMiB}});
  // Once as it is mapped, and once page by page.
  CHECK(memory().calls["move_to_node"] == 2);
}

TEST_CASE_FIXTURE(InParts, "what a move was told to be there is not looked at again") {
  REQUIRE(platform::populate(region.address, region.length, region.pages).ok());
  memory().calls.clear();
  const Migration moved = migrate(region, 1, kNoInterrupts);
  CHECK(memory().calls["residency"] == 3);  // each of the three parts once
  CHECK(moved.before.bytes_by_node == std::map<int, std::uint64_t>{{0, 130 * kMiB}});
  const Placement seen = placement_of(region);
  CHECK(moved.placement.bytes_by_node == seen.bytes_by_node);
  CHECK(moved.placement.page_size_bytes == seen.page_size_bytes);
  CHECK(moved.placement.method == seen.method);
  CHECK(moved.place.step == AllocationStep::kPreferred);
}

struct OfOthers : InParts {
  MoveOutcome go(int node, const InterruptCheck& check = kNoInterrupts) {
    const auto begin = reinterpret_cast<std::uintptr_t>(region.address);
    memory().calls.clear();
    return move_to({{begin, begin + region.length}}, node, check);
  }
};

TEST_CASE_FIXTURE(OfOthers, "memory of other owners is moved by threads on the CPUs of the node") {
  REQUIRE(platform::populate(region.address, region.length, region.pages).ok());
  const MoveOutcome moved = go(1);
  const auto parts = static_cast<std::size_t>(memory().calls["move_resident"]);
  CHECK(parts >= 3);
  CHECK(memory().worker_cpus == std::vector<std::vector<int>>(2, {2, 3}));
  CHECK(memory().calls["residency"] == static_cast<int>(parts));  // before alone
  CHECK(moved.after.bytes_by_node == std::map<int, std::uint64_t>{{1, 130 * kMiB}});
  memory().worker_cpus.clear();
  CHECK(go(2).after.bytes_by_node == std::map<int, std::uint64_t>{{2, 130 * kMiB}});
  CHECK(memory().worker_cpus.empty());
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(OfOthers, "what stays of other owners' memory is told of, and looked at") {
  memory().rooms[1].free_bytes = 3 * kMiB;
  const MoveOutcome moved = go(1);
  CHECK(moved.kept.full_bytes == kMiB);
  CHECK(moved.after.bytes_by_node == std::map<int, std::uint64_t>{{0, kMiB}, {1, 3 * kMiB}});
  CHECK(moved.after.not_resident_bytes == 126 * kMiB);
}

TEST_CASE_FIXTURE(OfOthers, "a refusal in one thread ends the move of other owners' memory") {
  memory().failures_at["move_resident"][2] = Failure{Cause::kRefused, "move_pages", 1, {}};
  CHECK(kind_of([&] { static_cast<void>(go(1)); }) == ErrorKind::kUnsupported);
  const Placement seen = placement_of(region);
  CHECK(seen.bytes_on(0) >= kMiB);
  CHECK(seen.bytes_on(0) + seen.bytes_on(1) == 4 * kMiB);
}

TEST_CASE_FIXTURE(OfOthers, "where nothing is ever moved, what is there already may stay") {
  const Failure never{Cause::kUnsupported, "move_pages", 0, "not on this system"};
  memory().failures["move_resident"] = memory().failures["move_to_node"] = never;
  const MoveOutcome stayed = go(0);
  CHECK(stayed.before.bytes_by_node == std::map<int, std::uint64_t>{{0, 4 * kMiB}});
  CHECK(stayed.after.bytes_by_node == stayed.before.bytes_by_node);
  CHECK(kind_of([&] { static_cast<void>(go(1)); }) == ErrorKind::kUnsupported);
  CHECK(kind_of([&] { static_cast<void>(migrate(region, 1, kNoInterrupts)); }) ==
        ErrorKind::kUnsupported);
  // Of a buffer every page has to be there.
  CHECK(kind_of([&] { static_cast<void>(migrate(region, 0, kNoInterrupts)); }) ==
        ErrorKind::kUnsupported);
  REQUIRE(platform::populate(region.address, region.length, region.pages).ok());
  CHECK(migrate(region, 0, kNoInterrupts).placement.wholly_on(0, region.length));
}

TEST_CASE_FIXTURE(OfOthers, "where nothing is ever moved, moving nothing is an error") {
  const Failure never{Cause::kUnsupported, "move_pages", 0, "not on this system"};
  memory().failures["move_resident"] = never;
  AllocationRequest wish = request(130 * kMiB, 0);
  wish.populate = false;
  const Allocation empty = allocate(wish);
  region = empty.block.mapping.region();
  CHECK(kind_of([&] { static_cast<void>(go(0)); }) == ErrorKind::kUnsupported);
}

}  // namespace numapool
