// What tests of pools share: a scripted machine with room, one pool on it, and leases as values.
#pragma once

#include <doctest/doctest.h>

#include <thread>
#include <utility>

#include "numapool/pool.hpp"
#include "platform/thread.hpp"
#include "scripted.hpp"

namespace numapool {

struct Pools : Scripted {
  Pools() {
    for (const int id : {0, 1, 2}) memory().rooms[id] = {512 * kMiB, 0};
  }
  ~Pools() {
    close();
    CHECK(memory().misuses == 0);
  }
  Pool& open(PoolOptions options = {}) {
    pool = Pool::open(topology(), options);
    return *pool;
  }
  void close() {
    if (pool == nullptr) return;
    pool->close();
    std::exchange(pool, nullptr)->unpin();
  }
  Lease take(std::uint64_t bytes, int node, bool strict = false) {
    Lease lease;
    if (!strict && pool->try_acquire(bytes, node, lease)) return lease;
    AcquireRequest request;
    request.size_bytes = bytes;
    request.nodes = node;
    request.strict = strict;
    return pool->acquire(request, kNoInterrupts, {});
  }
  static void give(const Lease& lease) {
    if (lease.keeper->give_back(lease.cookie, false)) lease.keeper->tidy();
  }
  // On a CPU, as a thread there would.
  template <class Use>
  static void on(int cpu, const Use& use) {
    std::thread([&] {
      const int cpus[] = {cpu};
      platform::prepare_worker(cpus);
      use();
    }).join();
  }
  PoolCounts total() { return pool->statistics().total; }
  PoolCounts of(int node) { return pool->statistics().by_node.at(node); }
  Pool* pool = nullptr;
};

}  // namespace numapool
