// The home of a thread: the node that it gets memory from where none is named.
#include "numapool/home_node.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "pools.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

struct AtHome : Scripted {
  ~AtHome() { set_home_node(kNoHome); }

  static Allocation allocate_anywhere() {
    AllocationRequest anywhere = request(kMiB, 0);
    anywhere.nodes = {};
    return allocate(anywhere);
  }
};

}  // namespace

TEST_CASE_FIXTURE(AtHome, "where no node is named, a thread's home stands in for its CPU's node") {
  memory().current_node = 0;
  CHECK(allocate_anywhere().block.place.requested_node == 0);
  set_home_node(2);
  const Allocation got = allocate_anywhere();
  CHECK(got.block.place.requested_node == 2);
  CHECK(got.block.place.node_id == 2);
  CHECK(allocate(request(kMiB, 1)).block.place.node_id == 1);
  set_home_node(kNoHome);
  CHECK(allocate_anywhere().block.place.requested_node == 0);
}

TEST_CASE_FIXTURE(AtHome, "a home that the machine does not have counts as none") {
  memory().current_node = 1;
  set_home_node(77);
  CHECK(allocate_anywhere().block.place.requested_node == 1);
}

TEST_CASE_FIXTURE(AtHome, "other threads have the process's home alone") {
  CHECK(set_home_node(2) == kNoHome);
  const auto of_another = [] {
    int seen = 0;
    std::thread([&] { seen = home_node(); }).join();
    return seen;
  };
  CHECK(of_another() == kNoHome);
  set_process_home_node(1);
  CHECK(of_another() == 1);
  CHECK(home_node() == 2);
  CHECK(set_home_node(kNoHome) == 2);
  CHECK(home_node() == 1);
  set_process_home_node(kNoHome);
  CHECK(home_node() == kNoHome);
}

TEST_CASE_FIXTURE(Pools, "a pool serves a thread without a node from its home, also by a hit") {
  open();
  memory().current_node = 0;
  for (const int home : {2, 77}) {
    set_home_node(home);
    AcquireRequest anywhere;
    anywhere.size_bytes = kMiB;
    const Lease fresh = pool->acquire(anywhere, kNoInterrupts, {});
    CHECK(fresh.place.node_id == (home == 2 ? 2 : 0));
    give(fresh);
    Lease again;
    if (home == 2) {
      REQUIRE(pool->try_acquire(kMiB, -1, again));
      CHECK(again.region.address == fresh.region.address);
    } else {
      CHECK_FALSE(pool->try_acquire(kMiB, -1, again));  // the slow path finds the CPU's node
      again = pool->acquire(anywhere, kNoInterrupts, {});
    }
    CHECK(again.place.requested_node == fresh.place.requested_node);
    give(again);
  }
  set_home_node(kNoHome);
}

}  // namespace numapool
