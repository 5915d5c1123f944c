// What the core makes of a walk: nodes, the nearest to all legs, and what stays unknown.
#include "numapool/device.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "numapool/error.hpp"
#include "platform/fake/device_script.hpp"
#include "platform/fake/topology_script.hpp"

namespace numapool {
namespace {

using platform::fake::device_script;
using platform::fake::machine_of;
using platform::fake::node;
using Ids = std::vector<int>;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

Device device(const char* name, std::optional<int> node_id) {
  Device out;
  out.name = name;
  out.kind = "nvme";
  out.node_id = node_id;
  out.evidence = std::string("/") + name + "/numa_node";
  if (!node_id) out.reason = out.evidence + " says -1";
  return out;
}

struct Script {
  Script() { reset(); }
  ~Script() { reset(); }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  static void reset() {
    platform::fake::reset_topology();
    device_script() = {};
  }
  void set(platform::TopologyRecord record) {
    platform::fake::topology_script() = std::move(record);
  }
  // Three nodes in a row, 1 in the middle.
  void set_row() {
    set(machine_of({node(0, {0}, kGiB, {10, 20, 40}), node(1, {1}, kGiB, {20, 10, 20}),
                    node(2, {2}, kGiB, {40, 20, 10})}));
  }
  static DeviceLocality locate(std::vector<Device> legs, std::vector<std::string> dead_ends = {}) {
    device_script().walks["x"] = {{}, std::move(legs), std::move(dead_ends)};
    return locate_device(Topology::detect(), "x");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Script, "one leg, or several on one node: that node") {
  set_row();
  CHECK(locate({device("a", 2)}).node_id == 2);
  const DeviceLocality found = locate({device("a", 2), device("b", 2)});
  CHECK(found.node_id == 2);
  CHECK(found.nodes == Ids{2});
  CHECK(found.legs.size() == 2);
  CHECK(found.reason.empty());
}

TEST_CASE_FIXTURE(Script, "legs on several nodes: the node with the least way to all") {
  set_row();
  const DeviceLocality found = locate({device("a", 2), device("b", 0)});
  CHECK(found.nodes == Ids{0, 2});
  CHECK(found.node_id == 1);
  // most of it is on node 2
  CHECK(locate({device("a", 0), device("b", 2), device("c", 2), device("d", 2)}).node_id == 2);
}

TEST_CASE_FIXTURE(Script, "of equals the lowest id, and distances from the device count") {
  set(machine_of({node(0, {0}, kGiB, {10, 21}), node(1, {1}, kGiB, {21, 10})}));
  CHECK(locate({device("a", 1), device("b", 0)}).node_id == 0);
  set(machine_of({node(0, {0}, kGiB, {10, 31}), node(1, {1}, kGiB, {17, 10})}));
  CHECK(locate({device("a", 1), device("b", 0)}).node_id == 0);
  set(machine_of({node(0, {0}, kGiB, {10, 17}), node(1, {1}, kGiB, {31, 10})}));
  CHECK(locate({device("a", 1), device("b", 0)}).node_id == 1);
}

TEST_CASE_FIXTURE(Script, "the nearest to several has memory that this process may use") {
  auto record = machine_of({node(0, {0}, kGiB, {10, 20, 40}), node(1, {1}, 0, {20, 10, 20}),
                            node(2, {2}, kGiB, {40, 20, 10})});
  set(record);
  CHECK(locate({device("a", 0), device("b", 2)}).node_id == 0);
  record.allowed = {2};
  set(record);
  CHECK(locate({device("a", 0), device("b", 1)}).node_id == 2);
  CHECK(locate({device("a", 1)}).node_id == 1);  // where it is, whatever that node has
  record.allowed = {};
  set(record);
  CHECK(locate({device("a", 0), device("b", 1)}).node_id == 0);  // one of its own
}

TEST_CASE_FIXTURE(Script, "legs of unknown node are kept, and the reason says which") {
  set_row();
  const DeviceLocality some = locate({device("a", std::nullopt), device("b", 2)});
  CHECK(some.node_id == 2);
  CHECK(some.nodes == Ids{2});
  CHECK(some.legs.size() == 2);
  CHECK(some.reason == "/a/numa_node says -1");
  const DeviceLocality none = locate({device("a", std::nullopt)}, {"loop0 has no file"});
  CHECK_FALSE(none.node_id);
  CHECK(none.nodes.empty());
  CHECK(none.reason == "/a/numa_node says -1; loop0 has no file");
  CHECK(locate({}).reason == "the walk leads to no hardware");
  CHECK(locate({}, {"once", "once", "twice"}).reason == "once; twice");
}

TEST_CASE_FIXTURE(Script, "a node that is not online is unknown, and the topology outdated") {
  set_row();
  DeviceStep step;
  step.node_id = 7;
  device_script().walks["x"] = {{step}, {device("a", 7), device("b", 1)}, {}};
  const DeviceLocality found = locate_device(Topology::detect(), "x");
  CHECK(found.outdated);
  CHECK(found.node_id == 1);
  CHECK_FALSE(found.legs[0].node_id);
  CHECK(found.reason == "node 7 is not online, which /a/numa_node tells");
  CHECK_FALSE(found.steps[0].node_id);
  CHECK(found.steps[0].note == "node 7 is not online");
  device_script().devices = {device("a", 7), device("b", 1)};
  const std::vector<Device> listed = list_devices(Topology::detect());
  CHECK_FALSE(listed[0].node_id);
  CHECK(listed[1].node_id == 1);
}

TEST_CASE_FIXTURE(Script, "what is not there is a system error, what is not told is unknown") {
  try {
    static_cast<void>(locate_device(Topology::detect(), "nowhere"));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kSystem);
    CHECK(error.code() == ENOENT);
    CHECK(error.message().find("nowhere") != std::string::npos);
  }
  device_script().failure = platform::Failure{platform::Cause::kUnsupported, "device", 0, "x"};
  const DeviceLocality found = locate_device(Topology::detect(), "x");
  CHECK_FALSE(found.node_id);
  CHECK(found.reason == "device(x): not supported on this platform");
  CHECK(list_devices(Topology::detect()).empty());
  device_script().failure = platform::Failure{platform::Cause::kOther, "open", EIO, "/"};
  CHECK_THROWS_AS(static_cast<void>(list_devices(Topology::detect())), Error);
}

}  // namespace numapool
