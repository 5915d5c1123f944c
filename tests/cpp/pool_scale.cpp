// Pools on a machine of 2048 CPUs and 32 nodes: what they make and look at follows what is used,
// not what there is.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "platform/fake/process_script.hpp"
#include "pool/pool_holders.hpp"
#include "pool/pool_impl.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

constexpr int kNodes = 32;
constexpr int kCpusOfNode = 64;

struct LargeMachine : Pools {
  LargeMachine() {
    platform::TopologyRecord record;
    for (int id = 0; id < kNodes; ++id) {
      std::vector<int> cpus(kCpusOfNode);
      std::iota(cpus.begin(), cpus.end(), id * kCpusOfNode);
      std::vector<int> distances(kNodes, 20);
      distances[static_cast<std::size_t>(id)] = 10;
      record.nodes.push_back(platform::fake::node(id, cpus, 512 * kMiB, distances));
      record.allowed.push_back(id);
      memory().rooms[id] = {512 * kMiB, 0};
    }
    platform::fake::topology_script() = record;
  }
  [[nodiscard]] std::size_t shelves() const { return static_cast<PoolImpl*>(pool)->shelves(); }
};

}  // namespace

TEST_CASE_FIXTURE(LargeMachine, "a pool makes the shelves that are used") {
  open();
  CHECK(shelves() == kNodes);  // of the common shard
  CHECK(sizeof(Shelf) * shelves() + sizeof(PoolImpl) < 128 * 1024);
  give(take(kMiB, 0));
  CHECK(shelves() == kNodes + 1);
  give(take(kMiB, 0));
  give(take(5000, 0));
  CHECK(shelves() == kNodes + 1);
  give(take(kMiB, 7));
  CHECK(shelves() == kNodes + 2);
  for (const int cpu : {64, 2047}) on(cpu, [&] { give(take(2 * kMiB, cpu / kCpusOfNode)); });
  CHECK(shelves() == kNodes + 4);
  on(3000, [&] { give(take(2 * kMiB, 1)); });  // it came online later
  CHECK(shelves() == kNodes + 4);
  CHECK(of(1).hits == 1);  // what CPU 64 retained
}

TEST_CASE_FIXTURE(LargeMachine, "whatever any CPU retains is found, by a miss and by a trim") {
  open();
  const std::vector<int> cpus{0, 63, 64, 127, 1000, 1983, 2047, 5000};
  std::vector<Lease> leases(cpus.size());
  for (std::size_t i = 0; i < cpus.size(); ++i) on(cpus[i], [&] { leases[i] = take(kMiB, 5); });
  for (std::size_t i = 0; i < cpus.size(); ++i) on(cpus[i], [&] { give(leases[i]); });
  CHECK(of(5).retained_bytes == cpus.size() * kMiB);
  for (const int taker : {0, 1983, 5000}) {
    on(taker, [&] {
      for (Lease& lease : leases) lease = take(kMiB, 5);
    });
    CHECK(of(5).retained_bytes == 0);
    CHECK(of(5).misses == cpus.size());
    for (std::size_t i = 0; i < cpus.size(); ++i) on(cpus[i], [&] { give(leases[i]); });
  }
  CHECK(pool->trim(std::nullopt, 4) == 0);
  CHECK(pool->trim(2 * kMiB, 5) == 2 * kMiB);
  CHECK(pool->trim(std::nullopt, std::nullopt) == (cpus.size() - 2) * kMiB);
  CHECK(pool->trim(std::nullopt, std::nullopt) == 0);  // which forgets who held something
  for (std::size_t i = 0; i < 3; ++i) on(cpus[i], [&] { give(take(kMiB, 5)); });
  CHECK(of(5).retained_bytes == kMiB);  // each took the block of the one before
  close();
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(LargeMachine, "what every CPU holds goes after a fork, and at the end") {
  open();
  for (const int cpu : {0, 700, 2047}) on(cpu, [&] { give(take(kMiB, 3)); });
  const auto& process = platform::fake::process_script();
  process.before_fork();
  process.in_child();
  CHECK(total().retained_bytes == 0);
  for (const int cpu : {0, 700, 2047}) on(cpu, [&] { give(take(kMiB, cpu / kCpusOfNode)); });
  close();
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE("the next holder from a shard on is found, until it is forgotten") {
  Holders holders(3, 130);
  for (const std::size_t shard : {0u, 63u, 64u, 129u}) holders.set(1, shard);
  CHECK(holders.next(1, 0) == 0);
  CHECK(holders.next(1, 1) == 63);
  CHECK(holders.next(1, 64) == 64);
  CHECK(holders.next(1, 65) == 129);
  CHECK(holders.next(1, 130) == Holders::kNone);
  CHECK(holders.next(1, 1000) == Holders::kNone);
  for (const std::size_t slot : {0u, 2u}) CHECK(holders.next(slot, 0) == Holders::kNone);
  holders.reset(1, 63);
  CHECK(holders.next(1, 1) == 64);
  CHECK(Holders(1, 64).next(0, 0) == Holders::kNone);
}

}  // namespace numapool
