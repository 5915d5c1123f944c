// Memory that several processes will map, on the scripted machine: near before far, and no strict
// policy left behind.
#include "numapool/shared.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using platform::Cause;
using platform::Failure;
using platform::Policy;

// Three nodes in a row, 0 - 1 - 2, and a mapping to place.
struct Shared : Scripted {
  SharedPlacement place(std::uint64_t bytes, int node, bool strict = false) {
    mapping = Mapping(bytes, {platform::PageKind::kBase, platform::base_page_bytes()});
    return place_shared(mapping.region(), *topology(), node, strict, kNoInterrupts);
  }
  Bytes where() const { return placement_of(mapping.region()).bytes_by_node; }
  Mapping mapping;
};

TEST_CASE_FIXTURE(Shared, "shared memory goes whole to the nearest node that holds it") {
  memory().rooms[0] = {4 * kMiB, 0};
  memory().rooms[1] = {40 * kMiB, 0};
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kNearest);
  CHECK(where() == Bytes{{1, 32 * kMiB}});
}

TEST_CASE_FIXTURE(Shared, "shared memory is split over near nodes before a far one is used") {
  memory().rooms[0] = {20 * kMiB, 0};
  memory().rooms[1] = {10 * kMiB, 10 * kMiB};
  memory().fallback[0] = {2, 1};
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kAny);
  CHECK(where() == Bytes{{0, 20 * kMiB}, {1, 12 * kMiB}});
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Shared, "shared memory is refused rather than left under a strict policy") {
  memory().rooms[0] = {4 * kMiB, 40 * kMiB};
  memory().failures_at["set_policy"][3] = Failure{Cause::kNoMemory, "mbind", 12, {}};  // 2 binds
  const auto [kind, text] = error_of([&] { return place(32 * kMiB, 0); });
  CHECK(kind == ErrorKind::kNoMemory);
  CHECK(text.find("strict memory policy") != std::string::npos);
  // Without the failure it fits.
  memory().failures_at.clear();
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kPreferred);
}

TEST_CASE_FIXTURE(Shared, "pages are not pulled onto nodes without room") {
  memory().rooms[0] = {4 * kMiB, 40 * kMiB};
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int) {
    if (call == "populate") script.rooms[0].clean_file_bytes = 0;  // another process was quicker
  };
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kAny);
  CHECK(memory().calls["set_policy"] == 1);
}

namespace {

// Two sockets of two nodes each, and a thread on node 1.
struct SharedSets : TwoSockets {
  SharedSets() { memory().current_node = 1; }
  SharedPlacement place(std::uint64_t bytes, std::vector<int> nodes, bool strict = false) {
    mapping = Mapping(bytes, {platform::PageKind::kBase, platform::base_page_bytes()});
    return place_shared(mapping.region(), *topology(), NodeIds(std::move(nodes)), strict,
                        kNoInterrupts);
  }
  Bytes where() const { return placement_of(mapping.region()).bytes_by_node; }
  static bool last_policy_is(Policy policy, std::vector<int> nodes) {
    return memory().policies.back() ==
           platform::fake::MemoryScript::PolicyCall{policy, std::move(nodes), false};
  }
  Mapping mapping;
};

}  // namespace

TEST_CASE_FIXTURE(SharedSets, "shared memory of a set goes to the member nearest to the thread") {
  const SharedPlacement got = place(8 * kMiB, {0, 1, 2});
  CHECK(got.place.step == AllocationStep::kPreferred);
  CHECK(got.place.requested_node == 1);
  CHECK(where() == Bytes{{1, 8 * kMiB}});
  CHECK(last_policy_is(Policy::kPreferredMany, {0, 1, 2}));
  CHECK(place(40 * kMiB, {1, 2}).place.requested_node == 2);  // which holds it, as node 1 does not
  CHECK(where() == Bytes{{2, 40 * kMiB}});
}

TEST_CASE_FIXTURE(SharedSets,
                  "what no member holds alone is shared by the members, also strictly") {
  for (const bool strict : {false, true}) {
    CHECK(place(50 * kMiB, {1, 3}, strict).place.step == AllocationStep::kPreferred);
    CHECK(where() == Bytes{{1, 28 * kMiB}, {3, 22 * kMiB}});
    CHECK(last_policy_is(Policy::kPreferredMany, {1, 3}));
  }
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(SharedSets, "shared memory that the members do not hold goes on, or is refused") {
  CHECK(place(60 * kMiB, {0, 1}).place.step == AllocationStep::kNearest);
  CHECK(where() == Bytes{{2, 60 * kMiB}});
  const auto [kind, text] = error_of([&] { return place(60 * kMiB, {0, 1}, true); });
  CHECK(kind == ErrorKind::kPlacement);
  CHECK(text.find("on nodes 0, 1 alone: they could never hold that much") != std::string::npos);
}

TEST_CASE_FIXTURE(SharedSets, "a member that fills meanwhile leaves shared memory to the others") {
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
    if (call == "populate" && count == 1) script.rooms[1].free_bytes = 4 * kMiB;
  };
  CHECK(place(20 * kMiB, {1, 3}, true).place.step == AllocationStep::kPreferred);
  CHECK(where() == Bytes{{1, 4 * kMiB}, {3, 16 * kMiB}});
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(SharedSets, "before Linux 5.15 shared memory prefers the nearest member alone") {
  memory().preferred_many = false;
  CHECK(place(kMiB, {1, 3}).place.step == AllocationStep::kPreferred);
  CHECK(last_policy_is(Policy::kPreferred, {1}));
  CHECK(place(50 * kMiB, {1, 3}).place.step == AllocationStep::kPreferred);
  CHECK(last_policy_is(Policy::kPreferred, {1}));
}

TEST_CASE_FIXTURE(SharedSets, "members that no shared memory can be on are passed over") {
  platform::fake::topology_script().nodes[1].total_memory_bytes = 0;
  memory().rooms.erase(1);
  CHECK(place(kMiB, {1, 2}).place.requested_node == 2);
  CHECK(kind_of([&] { return place(kMiB, {1}); }) == ErrorKind::kPlacement);
  CHECK(kind_of([&] { return place(kMiB, {0, 7}); }) == ErrorKind::kNodeNotFound);
}

}  // namespace numapool
