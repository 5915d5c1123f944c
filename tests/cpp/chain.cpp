// The chain preferred -> nearest -> any on the scripted machine, and what strict makes of it.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>

#include "platform/thread.hpp"
#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using platform::Cause;
using platform::Failure;

TEST_CASE_FIXTURE(Scripted, "a node that has room gets all of it") {
  const Allocation got = allocate(request(8 * kMiB, 1));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(got.block.place.node_id == 1);
  CHECK(got.block.place.bound);
  CHECK(where(got).bytes_by_node == Bytes{{1, 8 * kMiB}});
  CHECK(got.degradations.empty());
}

TEST_CASE_FIXTURE(Scripted, "no node asked for is the node of the calling thread") {
  memory().current_node = 2;
  AllocationRequest here = request(kMiB, 0);
  here.nodes = {};
  const Allocation got = allocate(here);
  CHECK(got.block.place.requested_node == 2);
  CHECK(got.block.place.node_id == 2);
}

TEST_CASE_FIXTURE(Scripted, "a full node is passed over for the nearest that holds it all") {
  memory().rooms[2].free_bytes = 2 * kMiB;
  const Allocation got = allocate(request(8 * kMiB, 2));
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(got.block.place.node_id == 1);
  CHECK(where(got).bytes_by_node == Bytes{{1, 8 * kMiB}});
  CHECK(memory().rooms[2].free_bytes == 2 * kMiB);  // nothing of it was left there
}

TEST_CASE_FIXTURE(Scripted, "what no node holds alone is split, the preferred one first") {
  const Allocation got = allocate(request(100 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kAny);
  CHECK(where(got).bytes_by_node == Bytes{{0, 64 * kMiB}, {1, 36 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "near nodes share what none of them holds before a far one is used") {
  const Allocation got = allocate(request(31 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kAny);
  CHECK(got.block.place.node_id == 0);
  CHECK(where(got).bytes_by_node == Bytes{{0, 26 * kMiB}, {1, 5 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "what the near nodes do not hold together goes to a far one whole") {
  const Allocation got = allocate(request(60 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(where(got).bytes_by_node == Bytes{{2, 60 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "of nodes as far, the one that holds it all is taken") {
  set_room({10, 10, 20, 61});
  const Allocation got = allocate(request(40 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(where(got).bytes_by_node == Bytes{{3, 40 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "cache on near nodes makes way for what they share") {
  memory().rooms[0] = {6 * kMiB, 20 * kMiB};
  memory().rooms[1] = {4 * kMiB, 24 * kMiB};
  const Allocation got = allocate(request(31 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kAny);
  CHECK(where(got).bytes_on(0) + where(got).bytes_on(1) == 31 * kMiB);
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(TwoSockets, "a zone list that goes far first is repaired") {
  memory().fallback[0] = {2, 3, 1};
  const Allocation got = allocate(request(31 * kMiB, 0));
  CHECK(where(got).bytes_by_node == Bytes{{0, 26 * kMiB}, {1, 5 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "near nodes that fill meanwhile give way to a far one") {
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
    if (call == "populate" && count == 1) script.rooms[1].free_bytes = 0;
  };
  const Allocation got = allocate(request(31 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(where(got).bytes_by_node == Bytes{{2, 31 * kMiB}});
  CHECK_FALSE(memory().allocated_under_bind);
}

// A strict policy that this thread was started with.
struct Bound {
  explicit Bound(std::vector<int> nodes) {
    REQUIRE(platform::set_thread_policy(platform::ThreadMode::kBind, nodes));
  }
  ~Bound() {
    if (!platform::set_thread_policy(platform::ThreadMode::kDefault, {})) std::abort();
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
};

TEST_CASE_FIXTURE(TwoSockets, "where no node is named an inherited bind says which") {
  const Bound bound({1, 3});
  AllocationRequest anywhere = request(8 * kMiB, 0);
  anywhere.nodes = {};
  const Allocation got = allocate(anywhere);
  CHECK(got.block.place.requested_node == 1);
  CHECK(where(got).bytes_by_node == Bytes{{1, 8 * kMiB}});
  anywhere.size_bytes = 50 * kMiB;  // more than one of them holds: no other node is used
  const Allocation large = allocate(anywhere);
  CHECK(large.block.place.step == AllocationStep::kAny);
  CHECK(where(large).bytes_by_node == Bytes{{1, 20 * kMiB}, {3, 30 * kMiB}});
}

TEST_CASE_FIXTURE(TwoSockets, "a node that is named is used, whatever was inherited") {
  const Bound bound({1});
  const Allocation named = allocate(request(8 * kMiB, 2, true));
  CHECK(where(named).bytes_by_node == Bytes{{2, 8 * kMiB}});
  // What it cannot hold goes to the nodes of the bind.
  CHECK(where(allocate(request(40 * kMiB, 3))).bytes_on(1) != 0);
}

TEST_CASE_FIXTURE(TwoSockets, "a bind that leaves no usable node is not believed") {
  for (const std::vector<int>& nodes : {std::vector<int>{}, std::vector<int>{9}}) {
    const Bound bound(nodes);
    AllocationRequest anywhere = request(8 * kMiB, 0);
    anywhere.nodes = {};
    CHECK(where(allocate(anywhere)).bytes_by_node == Bytes{{0, 8 * kMiB}});
  }
}

TEST_CASE_FIXTURE(TwoSockets, "a refused policy names the bind that is in force instead") {
  const Bound bound({1});
  memory().failures["set_policy"] = Failure{Cause::kRefused, "mbind", EPERM, {}};
  const Allocation got = allocate(request(kMiB, 2));
  REQUIRE(got.degradations.size() == 1);
  CHECK(got.degradations.front().message.find("binds it to node 1") != std::string::npos);
}

TEST_CASE_FIXTURE(Scripted, "no page is moved to a node that keeps its last memory for itself") {
  memory().rooms[1] = {4 * kMiB, 0};
  memory().reserve_bytes = 4 * kMiB;
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
    if (call == "populate" && count == 1) script.rooms[1].free_bytes = 0;
    if (call == "residency") script.rooms[1].free_bytes = 4 * kMiB;
  };
  CHECK(allocate(request(64 << 10, 1)).block.place.step == AllocationStep::kNearest);
  CHECK(memory().calls["set_policy"] == 2);  // one preference for each of two nodes, and no bind
}

TEST_CASE_FIXTURE(Scripted, "pages that cannot be discarded are left with their mapping") {
  for (const int id : {0, 1, 2}) memory().rooms[id] = {6 * kMiB, 0};
  memory().hugetlb = {{platform::fake::kHugePage, 16, 16}};
  memory().failures["discard"] = Failure{Cause::kInvalid, "madvise(MADV_DONTNEED)", EINVAL, {}};
  AllocationRequest reserved = request(8 * kMiB, 0);
  reserved.page = {PageRequest::Kind::kHugetlb, platform::fake::kHugePage};
  reserved.core_dump = false;
  const Allocation got = allocate(reserved);
  CHECK(got.block.place.step == AllocationStep::kAny);
  CHECK(where(got).bytes_by_node == Bytes{{0, 6 * kMiB}, {1, 2 * kMiB}});
  CHECK(platform::fake::live_mappings() == 1);
  CHECK(platform::fake::dumped_mappings() == 0);
}

TEST_CASE_FIXTURE(Scripted, "a system that wants no node in a policy leaves first touch") {
  memory().failures["set_policy"] = Failure{Cause::kInvalid, "mbind", EINVAL, "node 2"};
  for (const bool populate : {true, false}) {
    AllocationRequest wanted = request(kMiB, 2);
    wanted.populate = populate;
    const Allocation got = allocate(wanted);
    CHECK(got.block.place.step == AllocationStep::kUnbound);
    CHECK_FALSE(got.block.place.bound);
    REQUIRE(got.degradations.size() == 1);
    CHECK(got.degradations.front().cause == Degradation::Cause::kPolicyRefused);
    CHECK(got.degradations.front().message.find("mbind") != std::string::npos);
  }
  CHECK(kind_of([&] { return allocate(request(kMiB, 2, true)); }) == ErrorKind::kPlacement);
}

TEST_CASE_FIXTURE(Scripted, "clean file cache makes way on the preferred node") {
  memory().rooms[1] = {4 * kMiB, 60 * kMiB};
  for (const bool strict : {false, true}) {
    const Allocation got = allocate(request(32 * kMiB, 1, strict));
    CHECK(got.block.place.step == AllocationStep::kPreferred);
    CHECK(where(got).bytes_by_node == Bytes{{1, 32 * kMiB}});
    CHECK_FALSE(memory().allocated_under_bind);
  }
}

TEST_CASE_FIXTURE(Scripted, "reclaim that ends early is asked for once more") {
  memory().rooms[1] = {4 * kMiB, 60 * kMiB};
  // The first call prefers the node, the second one pulls.
  memory().failures_at["set_policy"][2] = Failure{Cause::kPartial, "mbind", EIO, {}};
  const Allocation got = allocate(request(32 * kMiB, 1, true));
  CHECK(where(got).bytes_by_node == Bytes{{1, 32 * kMiB}});
  CHECK(memory().calls["set_policy"] == 5);  // prefer, pull, prefer, pull, prefer
}

TEST_CASE_FIXTURE(Scripted, "reclaim that frees nothing is given up") {
  memory().rooms[1] = {4 * kMiB, 60 * kMiB};
  for (int pull = 2; pull <= 16; pull += 2)  // four times with huge pages, four times without
    memory().failures_at["set_policy"][pull] = Failure{Cause::kPartial, "mbind", EIO, {}};
  const Allocation got = allocate(request(32 * kMiB, 1));
  CHECK(got.block.place.step == AllocationStep::kNearest);
}

TEST_CASE_FIXTURE(Scripted, "no strict policy is left behind for pages to come") {
  memory().rooms[1] = {4 * kMiB, 60 * kMiB};
  const Allocation got = allocate(request(32 * kMiB, 1));
  CHECK(where(got).bytes_by_node == Bytes{{1, 32 * kMiB}});
  const Region region = got.block.mapping.region();
  REQUIRE(platform::discard(region.address, region.length));
  memory().rooms[1] = {4 * kMiB, 0};
  REQUIRE(platform::populate(region.address, region.length, region.pages));
  CHECK_FALSE(memory().allocated_under_bind);
  CHECK(where(got).bytes_by_node == Bytes{{0, 28 * kMiB}, {1, 4 * kMiB}});
}

TEST_CASE_FIXTURE(Scripted, "strict names what stood in the way, and keeps nothing") {
  memory().rooms[1] = {4 * kMiB, 0};
  const auto [kind, text] = error_of([&] { return allocate(request(32 * kMiB, 1, true)); });
  CHECK(kind == ErrorKind::kPlacement);
  CHECK(text.find("node 1") != std::string::npos);
  CHECK(text.find("4 MiB") != std::string::npos);
  CHECK(platform::fake::live_mappings() == 0);
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Scripted, "below a mebibyte no look at free memory is made, strict or not") {
  const int looks = memory().calls["node_room"] + memory().calls["available"];
  CHECK(allocate(request(64 << 10, 0)).block.place.step == AllocationStep::kPreferred);
  CHECK(memory().calls["node_room"] + memory().calls["available"] == looks);
}

TEST_CASE_FIXTURE(Scripted, "more than there is is refused before a page is touched") {
  const auto [kind, text] = error_of([&] { return allocate(request(500 * kMiB, 0)); });
  CHECK(kind == ErrorKind::kNoMemory);
  CHECK(text.find("192 MiB") != std::string::npos);
  CHECK(memory().calls["map"] == 0);
  memory().available_bytes = kMiB;  // a cgroup
  CHECK(kind_of([&] { return allocate(request(2 * kMiB, 0)); }) == ErrorKind::kNoMemory);
  CHECK(memory().calls["map"] == 0);
}

TEST_CASE_FIXTURE(Scripted, "sizes that no address space holds") {
  for (const std::size_t size : {std::size_t{1} << 62, SIZE_MAX, SIZE_MAX - 4096}) {
    CHECK(kind_of([&] { return allocate(request(size, 0)); }) == ErrorKind::kNoMemory);
  }
  CHECK(kind_of([&] { return allocate(request(0, 0)); }) == ErrorKind::kInvalidArgument);
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(Scripted, "nodes that are not there, have no memory or are not allowed") {
  CHECK(kind_of([&] { return allocate(request(kMiB, 7)); }) == ErrorKind::kNodeNotFound);
  platform::fake::topology_script().nodes[1].total_memory_bytes = 0;
  memory().rooms.erase(1);
  CHECK(allocate(request(kMiB, 1)).block.place.node_id == 0);
  CHECK(kind_of([&] { return allocate(request(kMiB, 1, true)); }) == ErrorKind::kPlacement);
  platform::fake::topology_script().allowed = {2};
  memory().not_allowed = {0};
  CHECK(allocate(request(kMiB, 0)).block.place.node_id == 2);
}

TEST_CASE_FIXTURE(Scripted, "huge pages that are to be had only elsewhere give way to base pages") {
  memory().huge_pages_only_on = 2;
  const Allocation got = allocate(request(8 * kMiB, 0));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(where(got).bytes_by_node == Bytes{{0, 8 * kMiB}});
}

TEST_CASE_FIXTURE(Scripted, "where cache makes way for no huge page, base pages take its place") {
  memory().huge_pages_only_on = 2;
  memory().rooms[0] = {0, 60 * kMiB};
  for (const bool strict : {false, true}) {
    const Allocation got = allocate(request(32 * kMiB, 0, strict));
    CHECK(got.block.place.step == AllocationStep::kPreferred);
    CHECK(where(got).bytes_by_node == Bytes{{0, 32 * kMiB}});
    CHECK_FALSE(memory().allocated_under_bind);
  }
}

TEST_CASE_FIXTURE(Scripted, "a refused policy leaves first touch on the node's CPUs") {
  memory().failures["set_policy"] = Failure{Cause::kRefused, "mbind", 1, {}};
  const Allocation got = allocate(request(kMiB, 2));
  CHECK(got.block.place.step == AllocationStep::kUnbound);
  CHECK_FALSE(got.block.place.bound);
  REQUIRE(got.degradations.size() == 1);
  CHECK(got.degradations.front().cause == Degradation::Cause::kPolicyRefused);
  REQUIRE_FALSE(memory().worker_cpus.empty());
  CHECK(memory().worker_cpus.front() == std::vector<int>{4});
  CHECK(where(got).bytes_by_node == Bytes{{2, kMiB}});
  CHECK(kind_of([&] { return allocate(request(kMiB, 2, true)); }) == ErrorKind::kUnsupported);
}

TEST_CASE_FIXTURE(Scripted, "pages that are hidden are no proof: strict says so") {
  memory().pages_hidden = true;
  const Allocation got = allocate(request(kMiB, 1));
  CHECK_FALSE(got.block.place.node_id);
  REQUIRE(got.degradations.size() == 1);
  CHECK(got.degradations.front().cause == Degradation::Cause::kNotVerified);
  CHECK(kind_of([&] { return allocate(request(kMiB, 1, true)); }) == ErrorKind::kUnsupported);
}

TEST_CASE_FIXTURE(Scripted, "without populate the policy alone is set") {
  AllocationRequest lazy = request(8 * kMiB, 1);
  lazy.populate = false;
  const Allocation got = allocate(lazy);
  CHECK(got.block.place.node_id == 1);
  CHECK(platform::fake::resident_pages() == 0);
  lazy.strict = true;
  CHECK(kind_of([&] { return allocate(lazy); }) == ErrorKind::kInvalidArgument);
}

TEST_CASE_FIXTURE(Scripted, "an interrupt between chunks gives everything back") {
  memory().rooms[0].free_bytes = 1024 * kMiB;
  int checks = 0;
  const InterruptCheck stop = [&checks] {
    if (++checks == 2) throw Error(ErrorKind::kInterrupted, "stop");
  };
  const Allocator allocator(topology());
  CHECK_THROWS_AS(static_cast<void>(allocator.allocate(request(1000 * kMiB, 0), stop)), Error);
  CHECK(checks == 2);
  CHECK(platform::fake::live_mappings() == 0);
  CHECK(memory().rooms[0].free_bytes == 1024 * kMiB);
}

TEST_CASE_FIXTURE(Scripted, "what went missing meanwhile is noticed between chunks") {
  memory().rooms[0].free_bytes = 1024 * kMiB;
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int) {
    if (call == "populate") script.available_bytes = 10 * kMiB;
  };
  CHECK(kind_of([&] { return allocate(request(1000 * kMiB, 0)); }) == ErrorKind::kNoMemory);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Scripted, "memory that cannot be locked is not kept") {
  memory().failures["lock"] = Failure{Cause::kNoMemory, "mlock", 12, {}};
  AllocationRequest locked = request(kMiB, 0);
  locked.mlock = true;
  CHECK(kind_of([&] { return allocate(locked); }) == ErrorKind::kSystem);
  CHECK(platform::fake::live_mappings() == 0);
}

}  // namespace numapool
