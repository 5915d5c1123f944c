// Memory of devices, and of nodes that an operator leaves out, on the scripted machine: used by
// whoever names it, and by nobody else.
#include <doctest/doctest.h>

#include "numapool/home_node.hpp"
#include "numapool/limits.hpp"
#include "numapool/shared.hpp"
#include "pools.hpp"
#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using Nodes = std::vector<int>;

// Two nodes of 64 MiB, and a device's 300 MiB that the system would use before the second.
struct WithDevice : Scripted {
  WithDevice() {
    using platform::fake::node;
    set_nodes({node(0, {0}, 64 * kMiB, {10, 20, 80}), node(1, {1}, 64 * kMiB, {20, 10, 80}),
               node(2, {}, 300 * kMiB, {80, 80, 10})});
    third().kind = MemoryKind::kDevice;
    third().movable_only = true;
    memory().rooms[2] = {300 * kMiB, 0};
    memory().fallback[0] = {2, 1};
  }
  static platform::NodeRecord& third() { return platform::fake::topology_script().nodes[2]; }
  static AllocationRequest anywhere(std::uint64_t bytes) {
    AllocationRequest out = request(bytes, 0);
    out.nodes = {};
    return out;
  }
  static Allocator with_defaults(const std::string& words) {
    return Allocator(std::make_shared<const Topology>(Topology::detect(words)));
  }
};

TEST_CASE_FIXTURE(WithDevice,
                  "what no ordinary node holds alone is split over these, not over a device") {
  for (const AllocationRequest& one : {request(100 * kMiB, 0), anywhere(100 * kMiB)}) {
    const Allocation got = allocate(one);
    CHECK(got.block.place.step == AllocationStep::kAny);
    CHECK(where(got).bytes_by_node == Bytes{{0, 64 * kMiB}, {1, 36 * kMiB}});
  }
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(WithDevice, "a set has memory of a device if it names it, and else none") {
  AllocationRequest wish = anywhere(100 * kMiB);
  wish.nodes = NodeIds({0, 2});
  const Allocation named = allocate(wish);
  CHECK(named.block.place.step == AllocationStep::kPreferred);
  CHECK(where(named).bytes_by_node == Bytes{{2, 100 * kMiB}});
  wish.nodes = NodeIds({0, 1});
  const Allocation ordinary = allocate(wish);
  CHECK(ordinary.block.place.step == AllocationStep::kPreferred);
  CHECK(where(ordinary).bytes_by_node == Bytes{{0, 64 * kMiB}, {1, 36 * kMiB}});
  CHECK(kind_of([&] { return allocate(wish); }) == ErrorKind::kNoMemory);
}

TEST_CASE_FIXTURE(WithDevice, "more than ordinary nodes hold is refused, and nothing is kept") {
  memory().available_bytes = 1024 * kMiB;  // as far as the machine as a whole tells
  const auto [kind, text] = error_of([&] { return allocate(request(200 * kMiB, 0)); });
  CHECK(kind == ErrorKind::kNoMemory);
  CHECK(text.find("nodes 0, 1 cannot hold it, and memory of node 2 is used only if you name it") !=
        std::string::npos);
  CHECK(platform::fake::resident_pages() == 0);
}

TEST_CASE_FIXTURE(WithDevice, "what fills up meanwhile is refused, too") {
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int) {
    if (call == "populate") script.rooms[1].free_bytes = 0;
  };
  CHECK(kind_of([&] { return allocate(request(100 * kMiB, 0)); }) == ErrorKind::kNoMemory);
  CHECK(platform::fake::resident_pages() == 0);
}

TEST_CASE_FIXTURE(WithDevice, "less than a mebibyte stays off a device, too") {
  memory().rooms[0].free_bytes = 0;
  const Allocation got = allocate(anywhere(512 << 10));
  CHECK(where(got).bytes_by_node == Bytes{{1, 512 << 10}});
  memory().rooms[1].free_bytes = 0;
  CHECK(kind_of([&] { return allocate(anywhere(512 << 10)); }) == ErrorKind::kNoMemory);
}

TEST_CASE_FIXTURE(WithDevice, "a device that is named is used, and spills to ordinary nodes") {
  const Allocation got = allocate(request(200 * kMiB, 2));
  CHECK(got.block.place.step == AllocationStep::kPreferred);
  CHECK(where(got).bytes_by_node == Bytes{{2, 200 * kMiB}});
  const Allocation more = allocate(request(150 * kMiB, 2));
  CHECK(more.block.place.step == AllocationStep::kAny);
  CHECK(where(more).bytes_on(2) == 100 * kMiB);
}

TEST_CASE_FIXTURE(WithDevice, "interleaving goes over a device only if that is named") {
  InterleaveRequest spread;
  spread.size_bytes = 12 * kMiB;
  spread.page.kind = PageRequest::Kind::kBase;
  const auto bytes = [&] {
    return where(Allocator(topology()).allocate_interleaved(spread, kNoInterrupts)).bytes_by_node;
  };
  CHECK(bytes() == Bytes{{0, 6 * kMiB}, {1, 6 * kMiB}});
  spread.nodes = {0, 2};
  CHECK(bytes() == Bytes{{0, 6 * kMiB}, {2, 6 * kMiB}});
  spread.nodes.clear();
  for (const int node : {0, 1}) memory().rooms[node].free_bytes = 2 * kMiB;
  CHECK(kind_of(bytes) == ErrorKind::kNoMemory);
  CHECK(platform::fake::resident_pages() == 0);
}

TEST_CASE_FIXTURE(WithDevice,
                  "free memory of a device is not available to whoever does not name it") {
  // The system counts it: 428 MiB are free on this machine.
  CHECK(least_bound(bounds_without({}))->bytes == 428 * kMiB);
  const std::vector<int> device{2};
  CHECK(left_out_for(*topology(), {}) == device);
  CHECK(least_bound(bounds_without(device))->bytes == 128 * kMiB);
  for (const AllocationRequest& one : {request(200 * kMiB, 0), anywhere(200 * kMiB)}) {
    const auto [kind, text] = error_of([&] { return allocate(one); });
    CHECK(kind == ErrorKind::kNoMemory);
    CHECK(text.find("only 128 MiB are available to this process, limited by the scripted machine, "
                    "without node 2 (used only if you name it)") != std::string::npos);
  }
  CHECK(memory().calls["map"] == 0);
  CHECK(left_out_for(*topology(), device).empty());
  CHECK(where(allocate(request(200 * kMiB, 2))).sole_node() == 2);
}

TEST_CASE_FIXTURE(WithDevice,
                  "what fills up while memory is populated shows beside a device, too") {
  memory().rooms[0] = {1024 * kMiB, 0};
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int count) {
    if (call == "populate" && count == 2) script.rooms[0].free_bytes = 16 * kMiB;
    if (call == "populate" && count == 2) script.rooms[1].free_bytes = 16 * kMiB;
  };
  const auto [kind, text] = error_of([&] { return allocate(request(900 * kMiB, 0)); });
  CHECK(kind == ErrorKind::kNoMemory);
  CHECK(text.find("cannot populate the remaining") != std::string::npos);
  CHECK(platform::fake::resident_pages() == 0);
}

TEST_CASE_FIXTURE(WithDevice, "shared memory is not put on a device unasked") {
  Mapping mapping(100 * kMiB, {platform::PageKind::kBase, platform::base_page_bytes()});
  static_cast<void>(place_shared(mapping.region(), *topology(), 0, false, kNoInterrupts));
  CHECK(placement_of(mapping.region()).bytes_on(2) == 0);
  mapping = Mapping(200 * kMiB, {platform::PageKind::kBase, platform::base_page_bytes()});
  CHECK(kind_of([&] {
          return place_shared(mapping.region(), *topology(), 0, false, kNoInterrupts);
        }) == ErrorKind::kNoMemory);
}

TEST_CASE_FIXTURE(WithDevice, "a node that is left out serves nobody who does not name it") {
  const Allocator allocator = with_defaults("1");
  memory().current_node = 0;
  const Allocation got = allocator.allocate(anywhere(8 * kMiB), kNoInterrupts);
  CHECK(got.block.place.requested_node == 1);
  CHECK(where(got).bytes_by_node == Bytes{{1, 8 * kMiB}});
  CHECK(where(allocator.allocate(request(8 * kMiB, 0), kNoInterrupts)).sole_node() == 0);
  CHECK(kind_of([&] { return allocator.allocate(anywhere(100 * kMiB), kNoInterrupts); }) ==
        ErrorKind::kNoMemory);
  const Allocation any = with_defaults("all").allocate(request(200 * kMiB, 0), kNoInterrupts);
  CHECK(where(any).bytes_by_node == Bytes{{2, 200 * kMiB}});
}

TEST_CASE_FIXTURE(Pools, "a pool serves the CPUs of a node that is left out from the nearest") {
  pool = Pool::open(std::make_shared<const Topology>(Topology::detect("!0")), {});
  memory().current_node = 0;
  AcquireRequest anywhere;
  anywhere.size_bytes = kMiB;
  const Lease lease = pool->acquire(anywhere, kNoInterrupts, {});
  CHECK(placement_of(lease.region).sole_node() == 1);
  give(lease);
  CHECK(of(0).misses == 0);
  CHECK(of(1).retained_bytes != 0);
}

TEST_CASE_FIXTURE(WithDevice, "an expander comes after nodes with CPUs, however near it is") {
  third().kind = MemoryKind::kCxl;
  platform::fake::topology_script().nodes[0].distances = {10, 20, 14};
  CHECK(topology()->default_nodes() == Nodes{0, 1, 2});
  CHECK(topology()->memory_order(0) == Nodes{0, 1, 2});
  CHECK(topology()->nearest(0) == Nodes{0, 2, 1});
  CHECK(where(allocate(request(100 * kMiB, 0))).bytes_by_node ==
        Bytes{{0, 64 * kMiB}, {1, 36 * kMiB}});
  CHECK(where(allocate(request(200 * kMiB, 0))).bytes_by_node == Bytes{{2, 200 * kMiB}});
  third().kind = MemoryKind::kHbm;  // is faster than what nodes with CPUs have
  CHECK(topology()->memory_order(0) == Nodes{0, 2, 1});
}

TEST_CASE_FIXTURE(WithDevice, "a machine of whose nodes none is left uses what there is") {
  platform::fake::topology_script().allowed = {2};  // a cpuset of the device alone
  CHECK(topology()->default_nodes() == Nodes{2});
  CHECK(where(allocate(request(8 * kMiB, 0))).sole_node() == 2);
}

TEST_CASE_FIXTURE(WithDevice, "words for default nodes") {
  const auto chosen = [](const std::string& words) {
    return Topology::detect(words).default_nodes();
  };
  CHECK(chosen("0") == Nodes{0});
  CHECK(chosen(" 0-1 , 2\n") == Nodes{0, 1, 2});
  CHECK(chosen("!1") == Nodes{0, 2});
  CHECK(chosen("! 0,2") == Nodes{1});
  CHECK(chosen("all") == Nodes{0, 1, 2});
  CHECK(chosen("1,7-9") == Nodes{1});  // of another machine
  for (const char* const words : {"", "x", "0-", "-1", "1-0", "0,,1", "0,", "9", "!0-2", "!all",
                                  "1024", "99999999999", "0 1", "!"}) {
    CAPTURE(words);
    const auto [kind, text] = error_of([&] { return Topology::detect(words); });
    CHECK(kind == ErrorKind::kInvalidArgument);
    CHECK(text.find("default_nodes: '" + std::string(words) + "'") == 0);
  }
}

}  // namespace numapool
