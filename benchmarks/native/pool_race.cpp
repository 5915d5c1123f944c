// Acquire and release of one retained block, in turns with malloc and free of mimalloc, jemalloc
// and the C library; and two threads beside one.
//
// pool_race ROUNDS prints one JSON line per race: {"race": ..., "times": {name: [ns per cycle]}}.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "numapool/pool.hpp"
#include "numapool/topology.hpp"
#include "peers.hpp"

namespace {

using Times = std::map<std::string, std::vector<double>>;
using Work = std::function<void(int cycles)>;

constexpr int kCycles = 200'000;

double nanoseconds(const Work& work, int cycles) {
  const auto started = std::chrono::steady_clock::now();
  work(cycles);
  const auto took = std::chrono::steady_clock::now() - started;
  return std::chrono::duration<double, std::nano>(took).count() / cycles;
}

void cycle_pool(numapool::Pool& pool, std::size_t size, int cycles) {
  for (int i = 0; i < cycles; ++i) {
    numapool::Lease lease;
    if (!pool.try_acquire(size, -1, lease)) lease = pool.acquire({size, {}, false, {}}, {}, {});
    *static_cast<volatile char*>(lease.region.address) = 1;
    if (lease.keeper->give_back(lease.cookie, false)) lease.keeper->tidy();
  }
}

void cycle_peer(const Peer& peer, std::size_t size, int cycles) {
  for (int i = 0; i < cycles; ++i) {
    void* memory = peer.allocate(size);
    if (memory == nullptr) std::abort();
    *static_cast<volatile char*>(memory) = 1;
    peer.release(memory);
  }
}

void print(const std::string& race, const Times& times) {
  std::printf("{\"race\": \"%s\", \"times\": {", race.c_str());
  const char* between = "";
  for (const auto& [name, taken] : times) {
    std::printf("%s\"%s\": [", between, name.c_str());
    for (std::size_t i = 0; i < taken.size(); ++i) {
      std::printf("%s%.2f", i == 0 ? "" : ", ", taken[i]);
    }
    std::printf("]");
    between = ", ";
  }
  std::printf("}}\n");
  std::fflush(stdout);
}

void race_peers(numapool::Pool& pool, const std::vector<Peer>& peers, std::size_t size,
                int rounds) {
  Times times;
  cycle_pool(pool, size, 1000);
  for (int round = 0; round < rounds; ++round) {
    for (const Peer& peer : peers) {
      times[peer.name].push_back(
          nanoseconds([&](int cycles) { cycle_peer(peer, size, cycles); }, kCycles));
    }
    times["numapool"].push_back(
        nanoseconds([&](int cycles) { cycle_pool(pool, size, cycles); }, kCycles));
  }
  print(std::to_string(size), times);
}

std::vector<int> cpus_of_this_process() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// Nanoseconds per cycle of all threads together: half as many with two threads is twice the work.
double together(const std::vector<int>& cpus, const Work& work) {
  std::atomic<unsigned> ready{0};
  std::vector<std::thread> threads;
  std::vector<double> took(cpus.size());
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    threads.emplace_back([&, i] {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpus[i], &set);
      pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
      work(1000);
      ready.fetch_add(1);
      while (ready.load() < cpus.size()) {
      }
      took[i] = nanoseconds(work, kCycles);
    });
  }
  for (std::thread& thread : threads) thread.join();
  double rate = 0;  // cycles per nanosecond
  for (const double one : took) rate += 1 / one;
  return 1 / rate;
}

void race_threads(numapool::Pool& pool, std::size_t size, int rounds) {
  const std::vector<int> cpus = cpus_of_this_process();
  if (cpus.size() < 2) return;
  Times times;
  const Work work = [&](int cycles) { cycle_pool(pool, size, cycles); };
  for (int round = 0; round < rounds; ++round) {
    times["one thread"].push_back(together({cpus[0]}, work));
    times["two threads"].push_back(together({cpus[0], cpus[1]}, work));
  }
  print("threads " + std::to_string(size), times);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  const auto topology = std::make_shared<const numapool::Topology>(numapool::Topology::detect());
  numapool::Pool* pool = numapool::Pool::open(topology, {});
  const std::vector<Peer> peers = load_peers();
  for (const std::size_t size : {std::size_t{64} << 10, std::size_t{1} << 20}) {
    race_peers(*pool, peers, size, rounds);
    race_threads(*pool, size, rounds);
  }
  pool->close();
  pool->unpin();
  return 0;
}
