// Pools follow the machine: nodes come, go, get memory, and are added to a cpuset.
#include "changing.hpp"
#include "numapool/home_node.hpp"
#include "platform/fake/process_script.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

using platform::fake::topology_looks;

struct Following : Changing<Pools> {
  Following() { following(3); }
  ~Following() { close(); }
  // A pool without a topology of its own, on a machine of so many nodes.
  void following(int nodes, PoolOptions options = {}) {
    close();
    have_nodes(nodes);
    static_cast<void>(renewed_topology());
    pool = Pool::open(nullptr, options);
  }
  Lease take_here() {
    Lease lease;
    if (pool->try_acquire(kMiB, -1, lease)) return lease;
    AcquireRequest request;
    request.size_bytes = kMiB;
    return pool->acquire(request, kNoInterrupts, {});
  }
  // What the kernel does with the pages of a node that goes.
  static void move(const Lease& lease, int node) {
    static_cast<void>(platform::move_to_node(lease.region.address, lease.region.length,
                                             lease.region.pages, node));
    ++platform::fake::process_script().page_moves;
    platform::fake::process_script().now_ms += 2000;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Following, "a pool serves a node that came, and spills to it") {
  following(2);
  CHECK(pool->statistics().by_node.size() == 2);
  const auto missing = error_of([&] { return take(kMiB, 2); });
  CHECK(missing.first == ErrorKind::kNodeNotFound);
  CHECK(missing.second == "there is no node 2; this machine has: 0, 1");
  give(take(kMiB, 0));
  have_nodes(3);
  const Lease lease = take(kMiB, 2);
  CHECK(lease.place.node_id == 2);
  CHECK(lease.place.step == AllocationStep::kPreferred);
  give(lease);
  Lease again;
  CHECK(pool->try_acquire(kMiB, 2, again));
  give(again);
  CHECK(of(2).hits == 1);
  CHECK(of(2).retained_bytes == kMiB);
  for (const int id : {0, 1}) memory().rooms[id] = {0, 0};
  const Lease spilled = take(8 * kMiB, 0);
  CHECK(spilled.place.node_id == 2);
  give(spilled);
  CHECK(pool->trim(std::nullopt, 2) == 9 * kMiB);
}

TEST_CASE_FIXTURE(Following, "fixed memory, reserves and trims follow too") {
  following(2);
  have_nodes(3);
  CHECK(pool->reserve(kMiB, 2, 0, kNoInterrupts, {}) == 1);
  CHECK(of(2).retained_bytes == kMiB);
  CHECK(pool->retained_bytes(2) == kMiB);
  Allocation fixed = pool->take_fixed(kMiB, 2, true, kNoInterrupts);
  CHECK(of(2).in_use_bytes == kMiB);
  pool->drop_fixed(std::move(fixed.block));
  CHECK(pool->trim_within(kMiB, kMiB, 2) == kMiB);
}

TEST_CASE_FIXTURE(Following, "a node that went is an error that names the nodes there are") {
  const Lease held = take(kMiB, 2);
  const Lease kept = take(kMiB, 2);
  give(kept);
  for (const Lease& lease : {held, kept}) move(lease, 1);
  have_nodes(2);
  pool->statistics();  // the second is over: what was moved is noticed
  for (const bool strict : {true, false}) {
    const auto [kind, text] = error_of([&] { return take(kMiB, 2, strict); });
    CHECK(kind == ErrorKind::kNodeNotFound);
    CHECK(text == "there is no node 2; this machine has: 0, 1");
  }
  CHECK(kind_of([&] { return pool->reserve(kMiB, 2, 0, kNoInterrupts, {}); }) ==
        ErrorKind::kNodeNotFound);
  CHECK(kind_of([&] { return pool->take_fixed(kMiB, 2, false, kNoInterrupts); }) ==
        ErrorKind::kNodeNotFound);
  CHECK(of(2).in_use_bytes == kMiB);  // counted, so it is shown
  CHECK(of(1).retained_bytes == kMiB);
  if (held.keeper->give_back(held.cookie, true)) held.keeper->tidy();
  CHECK(of(2).in_use_bytes == 0);
  CHECK(of(1).retained_bytes == 2 * kMiB);
}

TEST_CASE_FIXTURE(Following, "a node of the chain that went is passed over") {
  give(take(kMiB, 0));
  const Lease held = take(kMiB, 1);
  have_nodes(2);
  for (const int id : {0, 1}) memory().rooms[id] = {0, 0};
  CHECK(kind_of([&] { return take(16 * kMiB, 0); }) == ErrorKind::kNoMemory);
  have_nodes(3);
  const Lease lease = take(16 * kMiB, 0);
  CHECK(lease.place.node_id == 2);
  give(lease);
  give(held);
}

TEST_CASE_FIXTURE(Following, "a home that went counts as none") {
  set_home_node(2);
  const Lease first = take_here();
  CHECK(first.place.node_id == 2);
  have_nodes(2);
  const Lease second = take_here();  // by what was known of the machine
  CHECK(second.place.node_id == 1);
  const Lease third = take_here();
  CHECK(third.place.node_id == 0);
  CHECK(third.place.requested_node == 0);
  set_home_node(kNoHome);
  for (const Lease& lease : {first, second, third}) give(lease);
}

TEST_CASE_FIXTURE(Following, "a node that gets memory is used by the next miss, hits look seldom") {
  script().nodes[1].total_memory_bytes = 0;
  static_cast<void>(renewed_topology());
  give(take(kMiB, 1));
  CHECK(of(0).retained_bytes == kMiB);
  const int looks = topology_looks();
  for (int i = 0; i < 10; ++i) give(take(kMiB, 1));  // hits, of the nearest node
  CHECK(topology_looks() == looks);
  have_nodes(3);
  const Lease miss = take(2 * kMiB, 1);
  CHECK(miss.place.node_id == 1);
  give(miss);

  script().nodes[1].total_memory_bytes = 0;
  static_cast<void>(renewed_topology());
  CHECK(pool->trim(std::nullopt, std::nullopt) == 3 * kMiB);
  give(take(kMiB, 1));
  have_nodes(3);
  const Lease hit = take(kMiB, 1);
  CHECK(hit.place.node_id == 0);
  give(hit);
  platform::fake::process_script().now_ms += 2000;
  const Lease later = take(kMiB, 1);
  CHECK(later.place.node_id == 1);
  give(later);
}

TEST_CASE_FIXTURE(Following, "a pool follows a cpuset that is widened, and one that is replaced") {
  script().allowed = {0};
  memory().not_allowed = {1, 2};
  static_cast<void>(renewed_topology());
  const Lease before = take(kMiB, 1);
  CHECK(before.place.node_id == 0);
  CHECK(kind_of([&] { return take(kMiB, 1, true); }) == ErrorKind::kPlacement);
  script().allowed = {0, 1};
  memory().not_allowed = {2};
  const Lease strict = take(kMiB, 1, true);
  CHECK(strict.place.node_id == 1);
  const Lease wide = take(kMiB, 1);
  CHECK(wide.place.node_id == 1);
  script().allowed = {1};
  memory().not_allowed = {0, 2};
  const Lease replaced = take(kMiB, 0);
  CHECK(replaced.place.node_id == 1);
  CHECK(kind_of([&] { return take(kMiB, 0, true); }) == ErrorKind::kPlacement);
  for (const Lease& lease : {before, strict, wide, replaced}) give(lease);
}

TEST_CASE_FIXTURE(Following, "a pool over a given topology never looks again") {
  following(2);
  open();
  have_nodes(3);
  CHECK(kind_of([&] { return take(kMiB, 2); }) == ErrorKind::kNodeNotFound);
  have_nodes(1);
  const int looks = topology_looks();
  const Lease lease = take(kMiB, 1);
  CHECK(lease.place.node_id == 0);
  CHECK(topology_looks() == looks);
  give(lease);
}

TEST_CASE_FIXTURE(Following,
                  "where the system does not say which nodes may come, a new pool does") {
  following(2);
  script().possible.clear();
  static_cast<void>(renewed_topology());
  close();
  pool = Pool::open(nullptr, {});
  have_nodes(3);
  const auto [kind, text] = error_of([&] { return take(kMiB, 2); });
  CHECK(kind == ErrorKind::kNodeNotFound);
  CHECK(text.find("Make a new pool") != std::string::npos);
  const Lease lease = take(kMiB, 1);
  CHECK(lease.place.node_id == 1);
  give(lease);
}

}  // namespace numapool
