// Nodes, groups, memory and distances of scripted Windows machines.
#include "platform/topology.hpp"

#include <doctest/doctest.h>

#include "platform/thread.hpp"
#include "windows/scripted.hpp"

namespace numapool::platform::windows::testing {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::vector<unsigned char> table_of(std::size_t header) {
  return std::vector<unsigned char>(header);
}

template <class T>
void put(std::vector<unsigned char>& out, std::size_t at, T value) {
  if (out.size() < at + sizeof value) out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void add_memory(std::vector<unsigned char>& srat, std::uint32_t domain, std::uint64_t bytes,
                std::uint32_t flags) {
  const std::size_t at = srat.size();
  srat.resize(at + 40);
  srat[at] = 1;
  srat[at + 1] = 40;
  put(srat, at + 2, domain);
  put(srat, at + 16, bytes);
  put(srat, at + 28, flags);
}

void two_nodes(Machine& machine) {
  machine.nodes = {{0, {group(0, 0b11)}}, {1, {group(1, 0b110)}}};
  machine.highest = 1;
  machine.free = {{0, 3 * kGiB}, {1, 5 * kGiB}};
}

TEST_CASE("a node's CPUs are those of all its groups") {
  Machine machine;
  machine.nodes = {{0, {group(0, ~KAFFINITY{0}), group(1, 0b101)}}, {3, {group(1, 0b10)}}};
  machine.highest = 3;
  machine.free = {{0, kGiB}, {3, kGiB}};
  const auto record = read_topology("/");
  REQUIRE(record);
  REQUIRE(record.value().nodes.size() == 2);
  const NodeRecord& first = record.value().nodes[0];
  CHECK(first.cpus.size() == 66);
  CHECK(first.cpus[63] == 63);
  CHECK(first.cpus[64] == 64);
  CHECK(first.cpus[65] == 66);
  CHECK(record.value().nodes[1].node_id == 3);
  CHECK(record.value().nodes[1].cpus == std::vector<int>{65});
  CHECK(record.value().allowed == std::vector<int>{0, 3});
}

TEST_CASE("an answer of success without a byte leads to the older question") {
  Machine machine;
  two_nodes(machine);
  machine.knows_all_groups = false;
  const auto record = read_topology("/");
  REQUIRE(record);
  REQUIRE(record.value().nodes.size() == 2);
  CHECK(record.value().nodes[0].cpus == std::vector<int>{0, 1});
  CHECK(record.value().nodes[1].cpus == std::vector<int>{65, 66});
}

TEST_CASE("a node without CPUs is one if its mask is empty or it has free memory") {
  Machine machine;
  two_nodes(machine);
  machine.nodes.push_back({2, {group(0, 0)}});
  machine.highest = 5;
  machine.free[2] = kGiB;
  machine.free[4] = 2 * kGiB;
  machine.free[5] = 0;
  const auto record = read_topology("/");
  REQUIRE(record);
  REQUIRE(record.value().nodes.size() == 4);
  CHECK(record.value().nodes[2].node_id == 2);
  CHECK(record.value().nodes[2].cpus.empty());
  CHECK(record.value().nodes[3].node_id == 4);
  CHECK(record.value().nodes[3].total_memory_bytes == 2 * kGiB);
}

TEST_CASE("memory of nodes is the firmware's, without what may be plugged") {
  Machine machine;
  two_nodes(machine);
  auto srat = table_of(48);
  add_memory(srat, 0, 4 * kGiB, 1);
  add_memory(srat, 100, 6 * kGiB, 1);
  add_memory(srat, 100, 2 * kGiB, 1);
  add_memory(srat, 100, 512 * kGiB, 3);
  add_memory(srat, 0, 512 * kGiB, 0);
  machine.tables["SRAT"] = srat;
  const auto record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[0].total_memory_bytes == 4 * kGiB);
  CHECK(record.value().nodes[1].total_memory_bytes == 8 * kGiB);
}

TEST_CASE("without the firmware's table the free bytes are a node's memory, else an equal share") {
  Machine machine;
  two_nodes(machine);
  auto record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[1].total_memory_bytes == 5 * kGiB);
  machine.free.clear();
  record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[1].total_memory_bytes == 32 * kGiB);
}

TEST_CASE("distances are the firmware's, and none are made up of nonsense") {
  Machine machine;
  two_nodes(machine);
  auto record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[0].distances.empty());

  auto slit = table_of(44);
  put(slit, 36, std::uint64_t{2});
  for (const int distance : {10, 17, 28, 10}) slit.push_back(static_cast<unsigned char>(distance));
  machine.tables["SLIT"] = slit;
  record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[0].distances == std::vector<int>{10, 17});
  CHECK(record.value().nodes[1].distances == std::vector<int>{28, 10});

  machine.tables["SLIT"][45] = 9;
  record = read_topology("/");
  REQUIRE(record);
  CHECK(record.value().nodes[0].distances.empty());

  put(machine.tables["SLIT"], 36, std::uint64_t{1} << 40);
  CHECK(read_topology("/"));
}

TEST_CASE("cut-off tables end the reading") {
  Machine machine;
  two_nodes(machine);
  auto srat = table_of(48);
  add_memory(srat, 0, 4 * kGiB, 1);
  for (std::size_t length = srat.size(); length-- > 0;) {
    machine.tables["SRAT"] = {srat.begin(), srat.begin() + static_cast<std::ptrdiff_t>(length)};
    REQUIRE(read_topology("/"));
  }
}

TEST_CASE("a machine whose nodes cannot be asked for is a failure with the call's name") {
  Machine machine;
  two_nodes(machine);
  machine.fails = "GetLogicalProcessorInformationEx";
  machine.error = ERROR_GEN_FAILURE;
  const auto record = read_topology("/");
  REQUIRE_FALSE(record);
  CHECK(record.failure().call == "GetLogicalProcessorInformationEx");
  CHECK(record.failure().detail.find("Windows error 31") != std::string::npos);
}

TEST_CASE("a worker runs in one group, and groups take turns") {
  Machine machine;
  const std::vector<int> cpus{1, 2, 64, 70};
  for (int i = 0; i < 4; ++i) prepare_worker(cpus);
  REQUIRE(machine.affinities.size() == 4);
  int first = 0;
  for (const GROUP_AFFINITY& one : machine.affinities) {
    CHECK(one.Mask == (one.Group == 0 ? KAFFINITY{0b110} : KAFFINITY{0b1000001}));
    first += one.Group == 0 ? 1 : 0;
  }
  CHECK(first == 2);
  CHECK(current_cpu() == 66);
}

}  // namespace
}  // namespace numapool::platform::windows::testing
