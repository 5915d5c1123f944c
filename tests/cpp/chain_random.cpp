// The chain on machines made at random: what the step says is true, and the nearest node was taken.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "scripted.hpp"

namespace numapool {
namespace {

using Random = std::mt19937;
using platform::NodeRoom;

std::uint64_t up_to(Random& random, std::uint64_t most) {
  return std::uniform_int_distribution<std::uint64_t>(0, most)(random);
}

// Whole pages, and often none at all.
std::uint64_t some_bytes(Random& random) {
  return up_to(random, 3) == 0 ? 0 : up_to(random, 24 * kMiB / 4096) * 4096;
}

struct Machine {
  std::map<int, NodeRoom> rooms;  // of the nodes that this process may use
  int nodes = 0;
};

// One to five nodes, some without memory, some forbidden, with file cache and asymmetric distances,
// some of them equal. Zone lists go by id, whatever the distances.
Machine make_machine(Random& random) {
  auto& memory = Scripted::memory();
  platform::fake::reset_memory();
  Machine out;
  out.nodes = static_cast<int>(up_to(random, 4)) + 1;
  platform::TopologyRecord record;
  for (int id = 0; id < out.nodes; ++id) {
    std::vector<int> distances;
    for (int other = 0; other < out.nodes; ++other)
      distances.push_back(other == id ? 10 : 11 + 3 * static_cast<int>(up_to(random, 4)));
    const bool has_memory = id == 0 || up_to(random, 5) != 0;
    record.nodes.push_back(platform::fake::node(id, {2 * id, 2 * id + 1},
                                                has_memory ? 64 * kMiB : 0, std::move(distances)));
    if (has_memory) memory.rooms[id] = {some_bytes(random), some_bytes(random)};
    if (id == 0 || up_to(random, 5) != 0) {
      record.allowed.push_back(id);
      if (has_memory) out.rooms[id] = memory.rooms[id];
    } else {
      memory.not_allowed.insert(id);
    }
  }
  platform::fake::topology_script() = std::move(record);
  if (up_to(random, 7) == 0)
    memory.huge_pages_only_on = static_cast<int>(
        up_to(random, static_cast<std::uint64_t>(out.nodes) - 1));  // fragmentation
  return out;
}

bool holds(const Machine& machine, int node, std::uint64_t bytes) {
  const auto found = machine.rooms.find(node);
  return found != machine.rooms.end() &&
         found->second.free_bytes + found->second.clean_file_bytes >= bytes;
}

// Of the nodes nearer to `asked` than `distance`, or as far too with `so_far`.
std::uint64_t room_near(const Machine& machine, const Topology& topology, int asked, int distance,
                        bool so_far) {
  std::uint64_t sum = 0;
  for (const auto& [node, room] : machine.rooms) {
    const int far = node == asked ? 0 : topology.distance(asked, node);
    if (far < distance || (so_far && far == distance))
      sum += room.free_bytes + room.clean_file_bytes;
  }
  return sum;
}

std::uint64_t room_of_all(const Machine& machine) {
  std::uint64_t sum = 0;
  for (const auto& [node, room] : machine.rooms) sum += room.free_bytes + room.clean_file_bytes;
  return sum;
}

// What each step promises, and that nothing better was to be had.
void check_step(const Machine& machine, const Topology& topology, int asked,
                const Allocation& got) {
  const Block& block = got.block;
  const std::uint64_t length = block.mapping.length();
  const Placement seen = Scripted::where(got);
  std::uint64_t sum = 0;
  for (const auto& [node, bytes] : seen.bytes_by_node) sum += bytes;
  CHECK(sum == length);
  CHECK(block.place.requested_node == asked);
  CHECK(block.place.bound);
  CHECK(block.place.node_id == seen.majority_node());
  switch (block.place.step) {
    case AllocationStep::kPreferred:
      CHECK(seen.wholly_on(asked, length));
      break;
    case AllocationStep::kNearest: {
      REQUIRE(seen.sole_node());
      const int node = *seen.sole_node();
      CHECK(node != asked);
      for (const int nearer : topology.nearest(asked)) {
        if (nearer == node) break;
        CHECK_FALSE(holds(machine, nearer, length));
      }
      CHECK(room_near(machine, topology, asked, topology.distance(asked, node), false) < length);
      break;
    }
    case AllocationStep::kAny: {
      int farthest = 0;
      for (const auto& [node, bytes] : seen.bytes_by_node)
        farthest = std::max(farthest, node == asked ? 0 : topology.distance(asked, node));
      for (const auto& [node, room] : machine.rooms) {
        const int far = node == asked ? 0 : topology.distance(asked, node);
        if (far <= farthest) CHECK_FALSE(holds(machine, node, length));
      }
      CHECK(room_near(machine, topology, asked, farthest, false) < length);
      CHECK(room_near(machine, topology, asked, farthest, true) >= length);
      break;
    }
    case AllocationStep::kUnbound:
      FAIL_CHECK("a policy was accepted");
      break;
  }
}

}  // namespace

TEST_CASE_FIXTURE(Scripted,
                  "whatever the machine, the step is true and the best there was" * slow()) {
  Random random(20260);
  std::map<AllocationStep, int> steps;
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    CAPTURE(round);
    const Machine machine = make_machine(random);
    const int asked =
        static_cast<int>(up_to(random, static_cast<std::uint64_t>(machine.nodes) - 1));
    const std::uint64_t bytes = kMiB + up_to(random, 39 * kMiB);
    const std::uint64_t length = (bytes + 4095) / 4096 * 4096;
    CAPTURE(asked);
    CAPTURE(length);
    try {
      const Allocation got = allocate(request(bytes, asked));
      CHECK(length <= room_of_all(machine));
      check_step(machine, *topology(), asked, got);
      ++steps[got.block.place.step];
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kNoMemory);
      CHECK(length > room_of_all(machine));
      CHECK(memory().calls["map"] == 0);
      ++refused;
    }
    CHECK(memory().misuses == 0);
    CHECK_FALSE(memory().allocated_under_bind);
    REQUIRE(platform::fake::live_mappings() == 0);
  }
  for (const AllocationStep step :
       {AllocationStep::kPreferred, AllocationStep::kNearest, AllocationStep::kAny})
    CHECK(steps[step] > 20);
  CHECK(refused > 20);
}

TEST_CASE_FIXTURE(Scripted, "strict: all of it there, or nothing is kept") {
  Random random(20261);
  int placed = 0;
  for (int round = 0; round < 500; ++round) {
    CAPTURE(round);
    const Machine machine = make_machine(random);
    const int asked =
        static_cast<int>(up_to(random, static_cast<std::uint64_t>(machine.nodes) - 1));
    const std::uint64_t bytes = kMiB + up_to(random, 15 * kMiB);
    const std::uint64_t length = (bytes + 4095) / 4096 * 4096;
    try {
      const Allocation got = allocate(request(bytes, asked, true));
      CHECK(holds(machine, asked, length));
      CHECK(where(got).wholly_on(asked, length));
      CHECK(got.block.place.step == AllocationStep::kPreferred);
      ++placed;
    } catch (const Error& error) {
      CHECK_FALSE(holds(machine, asked, length));
      CHECK(error.kind() ==
            (length > room_of_all(machine) ? ErrorKind::kNoMemory : ErrorKind::kPlacement));
    }
    CHECK(memory().misuses == 0);
    CHECK_FALSE(memory().allocated_under_bind);
    REQUIRE(platform::fake::live_mappings() == 0);
  }
  CHECK(placed > 50);
  CHECK(placed < 450);
}

TEST_CASE_FIXTURE(Scripted,
                  "a set has all of it, together if need be, or could not hold it" * slow()) {
  Random random(20262);
  std::map<AllocationStep, int> steps;
  int spread = 0;
  for (int round = 0; round < 500; ++round) {
    CAPTURE(round);
    const Machine machine = make_machine(random);
    std::vector<int> some;
    for (int node = 0; node < machine.nodes; ++node) {
      if (up_to(random, 1) != 0) some.push_back(node);
    }
    memory().preferred_many = up_to(random, 3) != 0;
    memory().current_node =
        static_cast<int>(up_to(random, static_cast<std::uint64_t>(machine.nodes) - 1));
    AllocationRequest wish = request(kMiB + up_to(random, 39 * kMiB), 0, up_to(random, 3) == 0);
    if (some.empty()) some.push_back(0);
    wish.nodes = NodeIds(some);
    const std::uint64_t length = (wish.size_bytes + 4095) / 4096 * 4096;
    std::uint64_t room = 0;
    for (const int node : some) {
      const auto found = machine.rooms.find(node);
      if (found != machine.rooms.end())
        room += found->second.free_bytes + found->second.clean_file_bytes;
    }
    CAPTURE(length);
    try {
      const Allocation got = allocate(wish);
      const Placement seen = where(got);
      const AllocationStep step = got.block.place.step;
      CHECK((step == AllocationStep::kPreferred) == (room >= length));
      CHECK(wish.nodes.contains(*got.block.place.requested_node));
      CHECK(got.block.place.node_id == seen.majority_node());
      if (step == AllocationStep::kPreferred) {
        for (const auto& [node, bytes] : seen.bytes_by_node) CHECK(wish.nodes.contains(node));
        CHECK(got.block.place.requested_node == got.block.place.node_id);
        spread += seen.sole_node() ? 0 : 1;
      }
      ++steps[step];
    } catch (const Error& error) {
      CHECK((length > room_of_all(machine) || wish.strict));
      CHECK(room < length);
    }
    CHECK(memory().misuses == 0);
    CHECK_FALSE(memory().allocated_under_bind);
    REQUIRE(platform::fake::live_mappings() == 0);
  }
  for (const AllocationStep step :
       {AllocationStep::kPreferred, AllocationStep::kNearest, AllocationStep::kAny})
    CHECK(steps[step] > 15);
  CHECK(spread > 15);
}

}  // namespace numapool
