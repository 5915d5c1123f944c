// A system that numapool does not know is one node with every CPU and all memory.
#include "numapool/topology.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "numapool/error.hpp"
#include "platform/topology.hpp"

namespace numapool {

TEST_CASE("the machine is one usable node with every CPU") {
  const Topology topology = Topology::detect();
  REQUIRE(topology.nodes().size() == 1);
  const Node& node = topology.nodes().front();
  CHECK(node.node_id == 0);
  CHECK(node.cpus.size() == std::max(1U, std::thread::hardware_concurrency()));
  CHECK(node.total_memory_bytes > (std::uint64_t{64} << 20));
  CHECK(topology.usable_nodes() == std::vector{0});
  CHECK(topology.nearest(0) == std::vector{0});
  CHECK(topology.distance(0, 0) == 10);
  CHECK(topology.distances_assumed());
  CHECK(topology.node_of_cpu(0) == 0);
}

TEST_CASE("another root and a node's free memory are not supported, and say so") {
  const auto tree = platform::read_topology("/somewhere");
  REQUIRE(!tree);
  CHECK(tree.failure().cause == platform::Cause::kUnsupported);
  CHECK(platform::describe(tree.failure()).find("/somewhere") != std::string::npos);
  CHECK_THROWS_AS(static_cast<void>(Topology::from_sysfs("/somewhere")), Error);
  CHECK_THROWS_AS(static_cast<void>(free_memory_bytes("/", 0)), Error);
}

}  // namespace numapool
