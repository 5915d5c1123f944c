// Memory for a set of nodes on the scripted machine: which member has it, and what follows where
// none can hold it.
#include <doctest/doctest.h>

#include <cerrno>

#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using platform::Cause;
using platform::Failure;
using platform::Policy;

namespace {

// Two sockets of two nodes each, and a thread on node 1.
struct Sets : TwoSockets {
  Sets() { memory().current_node = 1; }

  static AllocationRequest any_of(std::vector<int> nodes, std::uint64_t bytes,
                                  bool strict = false) {
    AllocationRequest out = request(bytes, 0, strict);
    out.nodes = NodeIds(std::move(nodes));
    return out;
  }
  // As mbind(2) got it last.
  static bool last_policy_is(Policy policy, std::vector<int> nodes) {
    return memory().policies.back() ==
           platform::fake::MemoryScript::PolicyCall{policy, std::move(nodes), false};
  }
};

}  // namespace

TEST_CASE_FIXTURE(Sets, "of a set the thread's own node comes first") {
  const Allocation got = allocate(any_of({0, 1, 2}, 8 * kMiB));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(got.block.place.requested_node == 1);
  CHECK(got.block.place.node_id == 1);
  CHECK(got.block.place.bound);
  CHECK(where(got).bytes_by_node == Bytes{{1, 8 * kMiB}});
  CHECK(last_policy_is(Policy::kPreferredMany, {0, 1, 2}));
  CHECK(got.degradations.empty());
}

TEST_CASE_FIXTURE(Sets, "else the member nearest to the thread, by id where several are") {
  CHECK(where(allocate(any_of({2, 0}, kMiB))).bytes_by_node == Bytes{{0, kMiB}});
  CHECK(where(allocate(any_of({3, 2}, kMiB))).bytes_by_node == Bytes{{2, kMiB}});
}

TEST_CASE_FIXTURE(Sets, "another member that holds all of it is as good") {
  const Allocation got = allocate(any_of({1, 2}, 40 * kMiB));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(got.block.place.requested_node == 2);
  CHECK(got.block.place.node_id == 2);
  CHECK(where(got).bytes_by_node == Bytes{{2, 40 * kMiB}});
  CHECK(last_policy_is(Policy::kPreferredMany, {1, 2}));
}

TEST_CASE_FIXTURE(Sets, "what no member holds alone they hold together") {
  const Allocation got = allocate(any_of({1, 3}, 50 * kMiB));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(where(got).bytes_by_node == Bytes{{1, 28 * kMiB}, {3, 22 * kMiB}});
  CHECK(last_policy_is(Policy::kPreferredMany, {1, 3}));
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Sets, "what the members do not hold goes on along the chain") {
  const Allocation whole = allocate(any_of({0, 1}, 60 * kMiB));
  CHECK(whole.block.place.step == AllocationStep::kNearest);
  CHECK(whole.block.place.requested_node == 1);
  CHECK(where(whole).bytes_by_node == Bytes{{2, 60 * kMiB}});
  const Allocation spread = allocate(any_of({0, 1}, 70 * kMiB));
  CHECK(spread.block.place.step == AllocationStep::kAny);
  CHECK(where(spread).bytes_on(0) == 26 * kMiB);
  CHECK(where(spread).bytes_on(1) == 28 * kMiB);
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Sets, "cache on the members makes way before a node outside is used") {
  memory().rooms[0] = {4 * kMiB, 22 * kMiB};
  memory().rooms[1] = {4 * kMiB, 24 * kMiB};
  for (const bool strict : {false, true}) {
    const Allocation got = allocate(any_of({0, 1}, 48 * kMiB, strict));
    CHECK(got.block.place.step == AllocationStep::kPreferred);
    CHECK(where(got).bytes_on(0) + where(got).bytes_on(1) == 48 * kMiB);
  }
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Sets, "before Linux 5.15 the nearest member is preferred alone") {
  memory().preferred_many = false;
  const Allocation near = allocate(any_of({1, 3}, kMiB));
  CHECK(near.block.place.step == AllocationStep::kPreferred);
  CHECK(near.degradations.empty());
  CHECK(last_policy_is(Policy::kPreferred, {1}));
  CHECK(where(allocate(any_of({1, 3}, 36 * kMiB))).bytes_by_node == Bytes{{3, 36 * kMiB}});
  const Allocation both = allocate(any_of({1, 3}, 50 * kMiB));
  CHECK(both.block.place.step == AllocationStep::kPreferred);
  CHECK(where(both).bytes_on(1) + where(both).bytes_on(3) == 50 * kMiB);
  AllocationRequest lazy = any_of({1, 3}, kMiB);
  lazy.populate = false;
  CHECK(allocate(lazy).block.place.node_id == 1);
}

TEST_CASE_FIXTURE(Sets, "strict is about the whole set") {
  CHECK(where(allocate(any_of({0, 1}, 50 * kMiB, true))).bytes_by_node ==
        Bytes{{0, 22 * kMiB}, {1, 28 * kMiB}});
  const auto [kind, text] = error_of([&] { return allocate(any_of({1, 0}, 60 * kMiB, true)); });
  CHECK(kind == ErrorKind::kPlacement);
  CHECK(text.find("on nodes 0, 1 alone") != std::string::npos);
  CHECK(text.find("54 MiB together at most") != std::string::npos);
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Sets, "members that fill meanwhile are no promise") {
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
    if (call == "populate" && count == 1) script.rooms[0].free_bytes = 0;
  };
  const auto [kind, text] = error_of([&] { return allocate(any_of({0, 1}, 50 * kMiB, true)); });
  CHECK(kind == ErrorKind::kPlacement);
  CHECK(text.find("on node 2") != std::string::npos);  // where the rest went
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Sets, "a refused policy names the nodes, and the CPUs that touched the memory") {
  memory().failures["set_policy"] = Failure{Cause::kRefused, "mbind", EPERM, {}};
  const Allocation got = allocate(any_of({2, 3}, kMiB));
  CHECK(got.block.place.step == AllocationStep::kUnbound);
  REQUIRE(got.degradations.size() == 1);
  const std::string& text = got.degradations.front().message;
  CHECK(text.find("not bound to nodes 2, 3: mbind") != std::string::npos);
  CHECK(text.find("on the CPUs of node 2 instead") != std::string::npos);
  CHECK(where(got).bytes_by_node == Bytes{{2, kMiB}});
  CHECK(kind_of([&] { return allocate(any_of({2, 3}, kMiB, true)); }) == ErrorKind::kUnsupported);
}

TEST_CASE_FIXTURE(Sets, "a set that the system refuses leaves the member that has the memory") {
  memory().failures_at["set_policy"][2] = Failure{Cause::kInvalid, "mbind", EINVAL, {}};
  const Allocation got = allocate(any_of({0, 1}, kMiB));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(got.block.place.node_id == 1);
  memory().failures_at["set_policy"][4] = Failure{Cause::kNoMemory, "mbind", ENOMEM, {}};
  CHECK(kind_of([&] { return allocate(any_of({0, 1}, kMiB)); }) == ErrorKind::kNoMemory);
}

TEST_CASE_FIXTURE(Sets, "without populate the policy is of the set, and no node is promised") {
  AllocationRequest lazy = any_of({0, 1}, kMiB);
  lazy.populate = false;
  const Allocation got = allocate(lazy);
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK_FALSE(got.block.place.node_id);
  CHECK(last_policy_is(Policy::kPreferredMany, {0, 1}));
}

TEST_CASE_FIXTURE(Sets, "members without memory are passed over, unknown ones are an error") {
  platform::fake::topology_script().nodes[1].total_memory_bytes = 0;
  memory().rooms.erase(1);
  CHECK(where(allocate(any_of({1, 2}, kMiB))).bytes_by_node == Bytes{{2, kMiB}});
  CHECK(last_policy_is(Policy::kPreferred, {2}));  // of the two there is one
  CHECK(allocate(any_of({1}, kMiB)).block.place.step == AllocationStep::kNearest);
  CHECK(kind_of([&] { return allocate(any_of({0, 7}, kMiB)); }) == ErrorKind::kNodeNotFound);
}

TEST_CASE_FIXTURE(Sets, "all nodes are a set like any other") {
  const Allocation got = allocate(any_of({0, 1, 2, 3}, 140 * kMiB));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(where(got).bytes_on(1) == 28 * kMiB);
}

TEST_CASE_FIXTURE(Sets, "ids are a set, however they are given") {
  CHECK(NodeIds({3, 1, 3}).ids() == std::vector<int>{1, 3});
  CHECK(NodeIds({3, 1}).contains(3));
  CHECK_FALSE(NodeIds(2).contains(3));
  CHECK(NodeIds().empty());
}

}  // namespace numapool
