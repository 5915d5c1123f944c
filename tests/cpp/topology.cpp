// What the core makes of a platform's record: distances, nearest nodes, the node of a CPU.
#include "numapool/topology.hpp"

#include <doctest/doctest.h>

#include <string>

#include "numapool/error.hpp"
#include "platform/fake/memory_script.hpp"
#include "platform/fake/topology_script.hpp"

namespace numapool {
namespace {

using platform::fake::machine_of;
using platform::fake::node;
using Ids = std::vector<int>;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

struct Script {
  Script() { platform::fake::reset_topology(); }
  ~Script() {
    platform::fake::reset_topology();
    platform::fake::reset_memory();
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  void set(platform::TopologyRecord record) {
    platform::fake::topology_script() = std::move(record);
  }
};

template <class Call>
std::pair<ErrorKind, std::string> error_of(const Call& call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return {error.kind(), error.message()};
  }
  return {ErrorKind::kInterrupted, "no error"};
}

}  // namespace

TEST_CASE_FIXTURE(Script, "nearest goes by distance, then by id, and starts with the node itself") {
  set(machine_of({node(0, {0}, kGiB, {10, 31, 21, 21}), node(1, {1}, kGiB, {17, 10, 28, 28}),
                  node(4, {2}, kGiB, {21, 28, 10, 17}), node(9, {3}, kGiB, {21, 28, 17, 10})}));
  const Topology topology = Topology::detect();
  CHECK(topology.nearest(0) == Ids{0, 4, 9, 1});
  CHECK(topology.nearest(1) == Ids{1, 0, 4, 9});
  CHECK(topology.nearest(4) == Ids{4, 9, 0, 1});
  CHECK(topology.nearest(9) == Ids{9, 4, 0, 1});
}

TEST_CASE_FIXTURE(Script, "a node comes first for itself even where the firmware says otherwise") {
  set(machine_of({node(0, {0}, kGiB, {20, 10}), node(1, {1}, kGiB, {10, 20})}));
  CHECK(Topology::detect().nearest(1) == Ids{1, 0});
}

TEST_CASE_FIXTURE(Script, "nearest leaves out nodes without memory and nodes not allowed") {
  auto record =
      machine_of({node(0, {0}, kGiB, {10, 20, 30, 40}), node(1, {1}, 0, {20, 10, 25, 15}),
                  node(2, {}, kGiB, {30, 25, 10, 20}), node(3, {3}, kGiB, {40, 15, 20, 10})});
  record.allowed = {0, 1, 2};
  set(record);
  const Topology topology = Topology::detect();
  CHECK(topology.usable_nodes() == Ids{0, 2});
  CHECK(topology.nearest(0) == Ids{0, 2});
  CHECK(topology.nearest(1) == Ids{0, 2});  // CPUs alone: not itself
  CHECK(topology.nearest(3) == Ids{2, 0});  // not allowed: its neighbours all the same
}

TEST_CASE_FIXTURE(Script, "no usable node leaves nothing near") {
  auto record = machine_of({node(0, {0}, kGiB), node(1, {1}, 0)});
  record.allowed = {1};
  set(record);
  CHECK(Topology::detect().nearest(0).empty());
}

TEST_CASE_FIXTURE(Script, "distances follow rows and columns, and need not be symmetric") {
  set(machine_of({node(0, {}, kGiB, {10, 22}), node(5, {}, kGiB, {33, 10})}));
  const Topology topology = Topology::detect();
  CHECK(topology.distance(0, 5) == 22);
  CHECK(topology.distance(5, 0) == 33);
  CHECK(topology.distance(5, 5) == 10);
  CHECK_FALSE(topology.distances_assumed());
}

TEST_CASE_FIXTURE(Script, "missing distances are 10 and 20, and the topology says so") {
  set(machine_of({node(0, {}, kGiB), node(5, {}, kGiB)}));
  const Topology topology = Topology::detect();
  CHECK(topology.distances_assumed());
  CHECK(topology.distances() == std::vector<Ids>{{10, 20}, {20, 10}});
  CHECK(topology.notes().empty());
}

TEST_CASE_FIXTURE(Script, "a missing row is taken from its column") {
  set(machine_of({node(0, {}, kGiB, {10, 12, 31}), node(5, {}, kGiB), node(6, {}, kGiB)}));
  const Topology topology = Topology::detect();
  CHECK(topology.distances() == std::vector<Ids>{{10, 12, 31}, {12, 10, 31}, {31, 31, 10}});
  CHECK(topology.distances_assumed());  // between 5 and 6: no nearer than what is known
  REQUIRE(topology.notes().size() == 1);
  CHECK(topology.notes().front() ==
        "the system gives no distances from nodes 5, 6, and not all distances to them: 31 stands "
        "in for these");
}

TEST_CASE_FIXTURE(Script, "a node whose memory is unknown is used like any other") {
  auto record = machine_of({node(0, {0}, kGiB), node(1, {1}, 0), node(2, {2}, kGiB)});
  record.nodes[2].total_memory_bytes.reset();
  record.notes.push_back({{platform::Cause::kOther, "open", 13, "/x/meminfo"}, "it is unknown"});
  set(record);
  const Topology topology = Topology::from_sysfs("/", true);  // strict: what makes no sense alone
  CHECK(topology.usable_nodes() == Ids{0, 2});
  CHECK(topology.notes() ==
        std::vector<std::string>{"cannot read /x/meminfo: Permission denied; it is unknown"});
}

TEST_CASE_FIXTURE(Script, "what makes no sense is a note, and an error where that is asked for") {
  auto record = machine_of({node(0, {0}, kGiB)});
  record.notes.push_back(
      {{platform::Cause::kUnintelligible, "/x/online", 0, "'?' is no list"}, "it is left out"});
  set(record);
  CHECK(Topology::detect().notes() ==
        std::vector<std::string>{"cannot make sense of /x/online: '?' is no list; it is left out"});
  CHECK(error_of([] { return Topology::from_sysfs("/", true); }) ==
        std::pair(ErrorKind::kTopology,
                  std::string("cannot make sense of /x/online: '?' is no list")));
}

TEST_CASE("parts that do not fit each other are no topology") {
  TopologyParts parts;
  CHECK(error_of([&] { return Topology(parts); }).first == ErrorKind::kInvalidArgument);
  parts.nodes.resize(2);
  parts.distances = {{10, 20}, {20}};
  CHECK(error_of([&] { return Topology(parts); }).first == ErrorKind::kInvalidArgument);
  parts.distances = {{10, 20}, {20, 10}};
  CHECK(Topology(parts).nearest(0).empty());
}

TEST_CASE_FIXTURE(Script, "a CPU belongs to the lowest of the nodes that claim it") {
  set(machine_of({node(2, {0, 4}, kGiB), node(3, {0, 1, 4}, kGiB), node(7, {}, kGiB)}));
  const Topology topology = Topology::detect();
  CHECK(topology.node_of_cpu(0) == 2);
  CHECK(topology.node_of_cpu(1) == 3);
  CHECK(topology.node_of_cpu(4) == 2);
  CHECK_FALSE(topology.node_of_cpu(2));
  CHECK_FALSE(topology.node_of_cpu(-1));
}

TEST_CASE_FIXTURE(Script, "an unknown node is refused, and those that exist are named") {
  set(machine_of({node(0, {}, kGiB), node(4, {}, kGiB)}));
  const Topology topology = Topology::detect();
  CHECK(topology.find(1) == nullptr);
  CHECK(topology.find(4)->node_id == 4);
  const auto expected = std::pair(ErrorKind::kNodeNotFound,
                                  std::string("there is no node 1; this machine has: 0, 4"));
  CHECK(error_of([&] { return topology.node(1); }) == expected);
  CHECK(error_of([&] { return topology.distance(0, 1); }) == expected);
  CHECK(error_of([&] { return topology.distance(1, 0); }) == expected);
  CHECK(error_of([&] { return topology.nearest(1); }) == expected);
}

TEST_CASE_FIXTURE(Script, "a platform's failure becomes the error of its kind") {
  using platform::Cause;
  using platform::Failure;
  const auto detect = [] { return Topology::detect(); };
  platform::fake::topology_failure() =
      Failure{Cause::kUnintelligible, "/x/online", 0, "'?' is no list"};
  CHECK(error_of(detect) ==
        std::pair(ErrorKind::kTopology,
                  std::string("cannot make sense of /x/online: '?' is no list")));
  platform::fake::topology_failure() = Failure{Cause::kOther, "open", 2, "/x"};
  CHECK(error_of(detect).first == ErrorKind::kSystem);
  platform::fake::topology_failure() = Failure{Cause::kUnsupported, "read_topology", 0, "/x"};
  CHECK(error_of(detect).first == ErrorKind::kUnsupported);
}

TEST_CASE_FIXTURE(Script, "free memory is read anew each time") {
  platform::NodeRoom& room = platform::fake::memory_script().rooms[3];
  room.free_bytes = 5 * kGiB;
  CHECK(free_memory_bytes("/", 3) == 5 * kGiB);
  room.free_bytes = kGiB;
  CHECK(free_memory_bytes("/", 3) == kGiB);
  CHECK(error_of([] { return free_memory_bytes("/", 4); }).first == ErrorKind::kSystem);
}

}  // namespace numapool
