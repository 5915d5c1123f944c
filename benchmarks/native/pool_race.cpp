// Acquire and release of one retained block, in turns with malloc and free of general-purpose
// allocators; two threads beside one; and blocks that one thread takes and another gives back,
// beside blocks that the same thread does.
//
// pool_race ROUNDS prints one JSON line per race: {"race": ..., "times": {name: [ns per cycle]}}.
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <span>
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
constexpr int kQueue = 16;  // blocks on their way from a producer to its consumer
constexpr int kTurns = 2000;

double nanoseconds(const Work& work, int cycles) {
  const auto started = std::chrono::steady_clock::now();
  work(cycles);
  const auto took = std::chrono::steady_clock::now() - started;
  return std::chrono::duration<double, std::nano>(took).count() / cycles;
}

void cycle_pool(numapool::Pool& pool, std::size_t size, int cycles) {
  for (int i = 0; i < cycles; ++i) {
    numapool::Lease lease;
    if (!pool.try_acquire(size, -1, lease)) lease = pool.acquire({size, {}, false, {}}, [] {}, {});
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

// What lends and takes back: the pool, or a peer.
struct Lender {
  std::string name;
  std::function<void(std::span<numapool::Lease> leases)> take;
  std::function<void(std::span<numapool::Lease> leases)> give;
};

Lender lender_of(numapool::Pool& pool, std::size_t size) {
  return {"numapool",
          [&pool, size](std::span<numapool::Lease> leases) {
            for (numapool::Lease& lease : leases) {
              if (!pool.try_acquire(size, -1, lease))
                lease = pool.acquire({size, {}, false, {}}, [] {}, {});
              *static_cast<volatile char*>(lease.region.address) = 1;
            }
          },
          [](std::span<numapool::Lease> leases) {
            for (const numapool::Lease& lease : leases) {
              if (lease.keeper->give_back(lease.cookie, false)) lease.keeper->tidy();
            }
          }};
}

Lender lender_of(const Peer& peer, std::size_t size) {
  return {peer.name,
          [&peer, size](std::span<numapool::Lease> leases) {
            for (numapool::Lease& lease : leases) {
              lease.region.address = peer.allocate(size);
              if (lease.region.address == nullptr) std::abort();
              *static_cast<volatile char*>(lease.region.address) = 1;
            }
          },
          [&peer](std::span<numapool::Lease> leases) {
            for (const numapool::Lease& lease : leases) peer.release(lease.region.address);
          }};
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

void run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// Nanoseconds per cycle of all threads together: half as many with two threads is twice the work.
double together(const std::vector<int>& cpus, const Work& work) {
  std::atomic<unsigned> ready{0};
  std::vector<std::thread> threads;
  std::vector<double> took(cpus.size());
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    threads.emplace_back([&, i] {
      run_on(cpus[i]);
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

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Nanoseconds per block that a producer on one CPU takes and a consumer on another gives back, a
// few blocks at a time. Only taking and giving back is timed, not how one thread tells the other.
double handed_over(const Lender& lender, int producer, int consumer) {
  std::vector<numapool::Lease> queue(kQueue);
  std::atomic<int> turn{0};  // even: the producer's
  std::vector<double> taken;
  std::vector<double> given;
  const auto play = [&](int cpu, int first, const auto& work, std::vector<double>& took) {
    run_on(cpu);
    std::vector<numapool::Lease> own(kQueue);
    for (int at = first; at < 2 * kTurns; at += 2) {
      while (turn.load(std::memory_order_acquire) != at) std::this_thread::yield();
      if (first == 1) own = queue;
      const double each = nanoseconds([&](int) { work(own); }, kQueue);
      if (first == 0) queue = own;
      if (at >= kTurns) took.push_back(each);  // the first half warms up
      turn.store(at + 1, std::memory_order_release);
    }
  };
  std::thread consumes([&] { play(consumer, 1, lender.give, given); });
  std::thread produces([&] { play(producer, 0, lender.take, taken); });
  produces.join();
  consumes.join();
  return median(taken) + median(given);
}

// The same by one thread.
double kept(const Lender& lender, int cpu) {
  std::vector<double> taken;
  std::vector<double> given;
  std::thread alone([&] {
    run_on(cpu);
    std::vector<numapool::Lease> own(kQueue);
    for (int at = 0; at < kTurns; ++at) {
      taken.push_back(nanoseconds([&](int) { lender.take(own); }, kQueue));
      given.push_back(nanoseconds([&](int) { lender.give(own); }, kQueue));
    }
  });
  alone.join();
  return median(taken) + median(given);
}

void race_hand_over(numapool::Pool& pool, const std::vector<Peer>& peers, std::size_t size,
                    int rounds) {
  const std::vector<int> cpus = cpus_of_this_process();
  if (cpus.size() < 2) return;
  std::vector<Lender> lenders;
  for (const Peer& peer : peers) lenders.push_back(lender_of(peer, size));
  lenders.push_back(lender_of(pool, size));
  Times times;
  for (int round = 0; round < rounds; ++round) {
    for (const Lender& lender : lenders) {
      times[lender.name + " kept"].push_back(kept(lender, cpus[0]));
      times[lender.name].push_back(handed_over(lender, cpus[0], cpus[1]));
    }
  }
  print("hand over " + std::to_string(size), times);
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
    race_hand_over(*pool, peers, size, rounds);
  }
  pool->close();
  pool->unpin();
  return 0;
}
