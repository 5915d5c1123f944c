// Placement, the chain and failures on scripted Windows machines; the real calls on the real one.
#include "platform/memory.hpp"

#include <doctest/doctest.h>

#include <array>
#include <memory>

#include "numapool/allocator.hpp"
#include "numapool/error.hpp"
#include "numapool/limits.hpp"
#include "numapool/topology.hpp"
#include "platform/host.hpp"
#include "windows/scripted.hpp"

namespace numapool::platform::windows::testing {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
const Pages kBase{PageKind::kBase, 4096};

Bound available() { return least_bound(memory_bounds()).value_or(Bound{}); }

void three_nodes(Machine& machine) {
  machine.nodes = {{0, {group(0, 0b11)}}, {1, {group(1, 0b11)}}, {2, {group(2, 0b11)}}};
  machine.highest = 2;
  machine.free = {{0, 8 * kGiB}, {1, 8 * kGiB}, {2, 8 * kGiB}};
}

Allocation allocate(std::size_t bytes, int node, bool strict = false) {
  const Allocator allocator(std::make_shared<const Topology>(Topology::detect()));
  AllocationRequest request;
  request.size_bytes = bytes;
  request.nodes = node;
  request.strict = strict;
  return allocator.allocate(request, [] {});
}

using Bytes = std::map<int, std::uint64_t>;

Bytes where(const Allocation& got) {
  const Mapping& mapping = got.block.mapping;
  const Residency seen = residency(mapping.address(), mapping.length(), kBase, Precision::kExact);
  return {seen.bytes_by_node.begin(), seen.bytes_by_node.end()};
}

TEST_CASE("memory is reserved with the node that is preferred, and seen there") {
  Machine machine;
  three_nodes(machine);
  for (const bool strict : {false, true}) {
    const Allocation got = allocate(4 * kMiB, 2, strict);
    CHECK(got.block.place.step == AllocationStep::kPreferred);
    CHECK(got.block.place.node_id == 2);
    CHECK(got.block.place.bound);
    CHECK(where(got) == Bytes{{2, 4 * kMiB}});
    CHECK(got.degradations.empty());
  }
  CHECK(machine.reserved.empty());  // all of it was given back
}

TEST_CASE("what spills sends the allocation on to the nearest node that holds it all") {
  Machine machine;
  three_nodes(machine);
  machine.room[1] = kMiB;
  const Allocation got = allocate(4 * kMiB, 1);
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(got.block.place.node_id == 0);
  CHECK(where(got) == Bytes{{0, 4 * kMiB}});
}

TEST_CASE("what no node holds alone is split over several") {
  Machine machine;
  three_nodes(machine);
  machine.room = {{0, 3 * kMiB}, {1, 3 * kMiB}, {2, 3 * kMiB}};
  machine.spills_to = 5;  // a node that came after the look at the topology
  const Allocation got = allocate(4 * kMiB, 1);
  CHECK(got.block.place.step == AllocationStep::kAny);
  CHECK(where(got).size() == 2);
}

TEST_CASE("strict refuses what spills, and keeps nothing") {
  Machine machine;
  three_nodes(machine);
  machine.room[1] = kMiB;
  try {
    static_cast<void>(allocate(4 * kMiB, 1, true));
    FAIL("it was placed");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kPlacement);
    CHECK(error.bytes_by_node == Bytes{{0, 3 * kMiB}, {1, kMiB}});
  }
  CHECK(machine.reserved.empty());
}

TEST_CASE("a node whose free bytes cannot hold it is passed over untried") {
  Machine machine;
  three_nodes(machine);
  machine.free[1] = kMiB;
  const Allocation got = allocate(4 * kMiB, 1);
  CHECK(got.block.place.step == AllocationStep::kNearest);
  CHECK(got.block.place.node_id == 0);
}

TEST_CASE("pages that cannot be seen are told as such, and strict refuses them") {
  Machine machine;
  three_nodes(machine);
  machine.fails = "QueryWorkingSetEx";
  machine.error = ERROR_ACCESS_DENIED;
  const Allocation got = allocate(kMiB, 1);
  REQUIRE(got.degradations.size() == 1);
  CHECK(got.degradations[0].cause == Degradation::Cause::kNotVerified);
  CHECK_FALSE(got.block.place.node_id);
  CHECK_THROWS_AS(static_cast<void>(allocate(kMiB, 1, true)), Error);
}

TEST_CASE("no memory is a failure of the call, at every call") {
  for (const char* const call : {"VirtualAllocExNuma", "commit"}) {
    for (int after = 0; after < 2; ++after) {
      Machine machine;
      three_nodes(machine);
      machine.fails = call;
      machine.fails_after = after;
      machine.error = ERROR_COMMITMENT_LIMIT;
      try {
        const Allocation got = allocate(4 * kMiB, 1);
        CHECK(machine.calls <= after);  // it is made less often
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kNoMemory);
        CHECK(error.message().find("Windows error 1455") != std::string::npos);
      }
      CHECK(machine.reserved.empty());
    }
  }
}

TEST_CASE("addresses that cannot be had back are given up, not used") {
  Machine machine;
  three_nodes(machine);
  const auto mapped = map(kMiB, kBase);
  REQUIRE(mapped);
  machine.fails = "VirtualAllocExNuma";
  const std::array<int, 1> node{1};
  const Status status = set_policy(mapped.value(), kMiB, Policy::kPreferred, node, false);
  REQUIRE_FALSE(status);
  CHECK(status.failure().cause == Cause::kNoMemory);
  CHECK_FALSE(set_policy(mapped.value(), kMiB, Policy::kPreferred, node, false));
  CHECK(unmap(mapped.value(), kMiB));  // forgets it: the addresses may be somebody else's
  CHECK_FALSE(unmap(mapped.value(), kMiB));
}

TEST_CASE("a range with contents keeps them and its node until it is discarded whole") {
  Machine machine;
  three_nodes(machine);
  const auto mapped = map(kMiB, kBase);
  REQUIRE(mapped);
  auto* const bytes = static_cast<unsigned char*>(mapped.value());
  const std::array<int, 1> one{1};
  const std::array<int, 1> two{2};
  CHECK(set_policy(bytes, kMiB, Policy::kPreferred, one, false));
  CHECK(populate(bytes, kMiB, kBase));
  bytes[5000] = 77;
  CHECK(set_policy(bytes, kMiB, Policy::kPreferred, two, false));
  CHECK(bytes[5000] == 77);
  CHECK(residency(bytes, kMiB, kBase, Precision::kExact).bytes_by_node.front().first == 1);
  CHECK(discard(bytes, kMiB));
  CHECK(bytes[5000] == 0);
  CHECK(residency(bytes, kMiB, kBase, Precision::kExact).bytes_by_node.front().first == 2);
  CHECK(unmap(bytes, kMiB));
}

TEST_CASE("what Windows cannot do is refused as unsupported, with the reason") {
  Machine machine;
  three_nodes(machine);
  const auto mapped = map(kMiB, kBase);
  REQUIRE(mapped);
  void* const address = mapped.value();
  const std::array<int, 2> nodes{0, 1};
  const std::array<int, 1> node{1};
  const auto moved = move_to_node(address, kMiB, kBase, 1);
  REQUIRE_FALSE(moved);
  for (const Status& status :
       {set_policy(address, kMiB, Policy::kInterleave, nodes, false),
        set_policy(address, kMiB, Policy::kBind, node, false),
        set_policy(address, kMiB, Policy::kBind, node, true), Status(moved.failure()),
        lock(address, kMiB, false), keep_out_of_dumps(address, kMiB)}) {
    REQUIRE_FALSE(status);
    CHECK(status.failure().cause == Cause::kUnsupported);
    CHECK(describe(status.failure()).find("Windows") != std::string::npos);
  }
  const std::array<int, 1> beyond{7};
  const Status status = set_policy(address, kMiB, Policy::kPreferred, beyond, false);
  REQUIRE_FALSE(status);
  CHECK(status.failure().cause == Cause::kInvalid);
  CHECK(unmap(address, kMiB));
}

TEST_CASE("large pages without the right say which right it is") {
  Machine machine;
  machine.fails = "AdjustTokenPrivileges";
  const auto mapped = map(2 * kMiB, {PageKind::kHugetlb, 2 * kMiB});
  REQUIRE_FALSE(mapped);
  CHECK(mapped.failure().cause == Cause::kRefused);
  CHECK(describe(mapped.failure()).find("SeLockMemoryPrivilege") != std::string::npos);
  CHECK(hugetlb_reserve_hint(2 * kMiB).find("secpol.msc") != std::string::npos);
}

TEST_CASE("locking more than the working set allows makes it larger, once") {
  Machine machine;
  const auto mapped = map(kMiB, kBase);
  REQUIRE(mapped);
  CHECK(lock(mapped.value(), kMiB, true));
  machine.fails = "VirtualLock";
  machine.error = ERROR_WORKING_SET_QUOTA;
  const Status status = lock(mapped.value(), kMiB, true);
  REQUIRE_FALSE(status);
  CHECK(status.failure().cause == Cause::kNoMemory);
  CHECK(machine.calls == 2);
  machine.fails = "SetProcessWorkingSetSizeEx";
  CHECK(lock(mapped.value(), kMiB, true));  // it is not needed then
  CHECK(unmap(mapped.value(), kMiB));
}

TEST_CASE("the heap is compacted, and the working set with the live buffers in it is left alone") {
  Machine machine;
  machine.fails = "SetProcessWorkingSetSizeEx";
  CHECK(trim_heap());
  CHECK(machine.calls == 0);
}

TEST_CASE("what is available is the least of memory, commit and the job's limits") {
  Machine machine;
  CHECK(available().bytes.value() == 32 * kGiB);
  machine.memory.ullAvailPageFile = 4 * kGiB;
  CHECK(available().bytes.value() == 4 * kGiB);
  machine.in_job = true;
  machine.limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
  machine.limits.JobMemoryLimit = 3 * kGiB;
  machine.job_memory = 2 * kGiB;
  CHECK(available().bytes.value() == kGiB);
  CHECK(available().limit == "the memory limit of this process's job");
  machine.job_memory = 5 * kGiB;
  CHECK(available().bytes.value() == 0);
  machine.job_memory.reset();  // cannot be told: no limit is made up
  CHECK(available().bytes.value() == 4 * kGiB);
  machine.fails = "GlobalMemoryStatusEx";
  CHECK_FALSE(available().bytes);
}

TEST_CASE("the real machine maps, populates, sees, discards and maps anew") {
  const auto mapped = map(4 * kMiB, kBase);
  REQUIRE(mapped);
  auto* const bytes = static_cast<unsigned char*>(mapped.value());
  const std::array<int, 1> node{0};
  CHECK(set_policy(bytes, 4 * kMiB, Policy::kPreferred, node, false));
  CHECK(populate(bytes, 4 * kMiB, kBase));
  const Residency seen = residency(bytes, 4 * kMiB, kBase, Precision::kExact);
  CHECK(seen.method == Method::kQueryWorkingSet);
  CHECK(seen.bytes_by_node == std::vector<std::pair<int, std::uint64_t>>{{0, 4 * kMiB}});
  bytes[kMiB] = 9;
  bytes[3 * kMiB] = 8;
  CHECK(discard(bytes + kMiB, kMiB));
  CHECK(bytes[kMiB] == 0);
  CHECK(bytes[3 * kMiB] == 8);
  CHECK(unmap(bytes, 4 * kMiB));
}

}  // namespace
}  // namespace numapool::platform::windows::testing
