// The monitor's thread: what it trims of whom, and what it tells.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <limits>
#include <thread>

#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/pressure.hpp"
#include "platform/fake/pressure_script.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

using platform::fake::pressure_script;

struct Monitored : Pools {
  Monitored() {
    reset();
    monitor = Monitor::make(quick(), {});
  }
  static PressurePolicy quick() {
    PressurePolicy policy;
    policy.poll_ms = 5;
    policy.relief_ms = 50;
    return policy;
  }
  ~Monitored() {
    monitor.reset();
    reset();
  }
  static void reset() {
    auto& script = pressure_script();
    const std::lock_guard guard(script.mutex);
    script.look = {};
    script.fails = false;
    script.refusal.reset();
    script.looks = 0;
  }
  static void change(const std::function<void(platform::PressureLook&)>& how) {
    auto& script = pressure_script();
    const std::lock_guard guard(script.mutex);
    how(script.look);
  }
  // Missing to the margin of 512 MiB.
  static void lack(std::uint64_t bytes) {
    change([&](platform::PressureLook& look) {
      look.machine = platform::Supply{512 * kMiB - bytes, 10240 * kMiB};
    });
  }
  static bool within_seconds(const std::function<bool()>& done) {
    for (int i = 0; i < 5000; ++i) {
      if (done()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  void retain(Pool& where, std::uint64_t bytes, int count, int node) {
    for (int i = 0; i < count; ++i) where.reserve(bytes, node, 0, kNoInterrupts, {});
  }
  std::unique_ptr<Monitor> monitor;
};

}  // namespace

TEST_CASE_FIXTURE(Monitored, "an attached pool gives what is missing, and the event says so") {
  PressurePolicy once = quick();  // however long this test takes: under memcheck it does
  once.cooldown_ms = 600'000;
  monitor = Monitor::make(once, {});
  open();
  retain(*pool, 16 * kMiB, 8, 0);
  const Lease live = take(16 * kMiB, 0);
  monitor->attach(*pool, 0, 1);
  auto queue = std::make_shared<EventQueue>();
  monitor->subscribe(queue);
  monitor->start();
  CHECK(monitor->running());
  lack(40 * kMiB);
  std::vector<PressureEvent> events;
  REQUIRE(within_seconds([&] { return !(events = queue->take()).empty(); }));
  CHECK(events[0].demand_bytes == 40 * kMiB);
  CHECK(events[0].trimmed_bytes == 48 * kMiB);  // whole blocks
  CHECK(pool->statistics().total.retained_bytes == 64 * kMiB);
  CHECK(total().in_use_bytes == 16 * kMiB);
  lack(0);
  change([](platform::PressureLook& look) { look.machine->available_bytes = 9999 * kMiB; });
  REQUIRE(within_seconds([&] {
    for (const PressureEvent& event : queue->take())
      if (event.level == PressureLevel::kNone) return true;
    return false;
  }));
  CHECK(within_seconds([&] { return monitor->level() == PressureLevel::kNone; }));
  monitor->stop();
  CHECK_FALSE(monitor->running());
  const MonitorStatistics seen = monitor->statistics();
  CHECK(seen.trimmed_bytes == 48 * kMiB);
  CHECK(seen.events[static_cast<std::size_t>(platform::PressureSource::kMachine)] >= 2);
  std::uint64_t reactions = 0;
  for (const std::uint64_t count : seen.reactions) reactions += count;
  CHECK(reactions == 1);
  give(live);
}

TEST_CASE_FIXTURE(Monitored, "a rehearsal trims and tells as pressure does, and says what it is") {
  change([](platform::PressureLook& look) {
    look.machine = platform::Supply{9999 * kMiB, 10240 * kMiB};
  });
  open();
  retain(*pool, 16 * kMiB, 4, 0);
  monitor->attach(*pool, 16 * kMiB, 1);
  auto queue = std::make_shared<EventQueue>();
  monitor->subscribe(queue);
  CHECK_FALSE(monitor->rehearse(PressureLevel::kModerate, kMiB, 0));  // it does not run
  monitor->start();
  REQUIRE(monitor->rehearse(PressureLevel::kModerate, 32 * kMiB, 0));
  std::vector<PressureEvent> events;
  REQUIRE(within_seconds([&] { return !(events = queue->take()).empty(); }));
  CHECK(events[0].level == PressureLevel::kModerate);
  CHECK(events[0].source == platform::PressureSource::kRehearsal);
  CHECK(events[0].node_id == 0);
  CHECK(events[0].demand_bytes == 32 * kMiB);
  CHECK(events[0].trimmed_bytes == 32 * kMiB);
  CHECK(events[0].origin_ns != 0);
  CHECK(monitor->level() == PressureLevel::kModerate);
  CHECK(pool->statistics().total.retained_bytes == 32 * kMiB);
  REQUIRE(monitor->rehearse(PressureLevel::kCritical, 64 * kMiB, std::nullopt));
  REQUIRE(within_seconds([&] { return !(events = queue->take()).empty(); }));
  CHECK(events[0].trimmed_bytes == 16 * kMiB);  // never below the floor
  CHECK(monitor->level() == PressureLevel::kCritical);
  REQUIRE(monitor->rehearse(PressureLevel::kNone, kMiB, 0));
  REQUIRE(within_seconds([&] { return !(events = queue->take()).empty(); }));
  CHECK(events[0].level == PressureLevel::kNone);
  CHECK(events[0].demand_bytes == 0);
  CHECK(monitor->level() == PressureLevel::kNone);
  const MonitorStatistics seen = monitor->statistics();
  CHECK(seen.events[static_cast<std::size_t>(platform::PressureSource::kRehearsal)] == 3);
  CHECK(seen.trimmed_bytes == 48 * kMiB);
  REQUIRE(monitor->rehearse(PressureLevel::kModerate, kMiB, 0));
  monitor->stop();
  CHECK(monitor->level() == PressureLevel::kNone);
}

TEST_CASE_FIXTURE(Monitored, "no pool goes below its floor") {
  open();
  retain(*pool, 16 * kMiB, 8, 0);
  monitor->attach(*pool, 100 * kMiB, 1);
  monitor->start();
  lack(500 * kMiB);
  REQUIRE(within_seconds([&] { return total().retained_bytes == 112 * kMiB; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(total().retained_bytes == 112 * kMiB);  // one block more would be 96
}

TEST_CASE_FIXTURE(Monitored, "pools give by their weights, and for one that has too little") {
  open();
  Pool* const other = Pool::open(topology(), {});
  Pool* const poor = Pool::open(topology(), {});
  retain(*pool, kMiB, 200, 0);
  retain(*other, kMiB, 200, 0);
  retain(*poor, kMiB, 1, 0);
  monitor->attach(*pool, 0, 3);
  monitor->attach(*other, 0, 1);
  monitor->attach(*poor, 0, 100);
  monitor->start();
  lack(101 * kMiB);
  const auto left = [](Pool& one) {
    return static_cast<std::uint64_t>(one.statistics().total.retained_bytes) / kMiB;
  };
  REQUIRE(within_seconds([&] { return monitor->statistics().trimmed_bytes >= 101 * kMiB; }));
  monitor->stop();
  CHECK(left(*poor) == 0);
  CHECK(left(*pool) < left(*other));
  CHECK(200 - left(*pool) > 2 * (200 - left(*other)));
  for (Pool* const one : {other, poor}) {
    CHECK(monitor->detach(*one));
    one->close();
    one->unpin();
  }
}

// Node 2 is a device's: its memory is used by whoever names it.
struct BesideDevice : Monitored {
  BesideDevice() {
    set_kind(MemoryKind::kDevice);
    open();
    retain(*pool, 16 * kMiB, 4, 0);
    retain(*pool, 16 * kMiB, 4, 2);
    monitor->attach(*pool, 0, 1);
  }
  ~BesideDevice() {
    monitor.reset();
    set_kind(MemoryKind::kUnknown);
  }
  static void set_kind(MemoryKind kind) {
    platform::fake::topology_script().nodes[2].kind = kind;
    renewed_topology();  // kinds are no part of the cheap look
  }
  // Of the machine, 4 GiB of 14 GiB are the device's.
  static void look(std::uint64_t machine, std::uint64_t device) {
    change([&](platform::PressureLook& look) {
      look.machine = platform::Supply{machine, 14336 * kMiB};
      const platform::Supply free{10240 * kMiB, 10240 * kMiB};
      look.nodes = {{0, free, 10240 * kMiB, 0},
                    {1, free, 10240 * kMiB, 0},
                    {2, {device, 4096 * kMiB}, device, 0}};
    });
  }
  bool looked(int times) {
    const std::uint64_t before = monitor->statistics().looks;
    return within_seconds([&] { return monitor->statistics().looks >= before + times; });
  }
  std::int64_t retained(int node) { return of(node).retained_bytes; }
};

TEST_CASE_FIXTURE(BesideDevice, "free memory of a device is no supply, and trimming it no help") {
  look(4096 * kMiB + 300 * kMiB, 4096 * kMiB);  // 212 MiB to the margin of 5 % of 10 GiB
  monitor->start();
  REQUIRE(within_seconds([&] { return retained(0) == 0; }));
  REQUIRE(looked(3));
  CHECK(retained(2) == 64 * kMiB);
  const auto seen = monitor->last_look();
  REQUIRE(seen);
  CHECK(seen->machine->available_bytes == 300 * kMiB);
  CHECK(seen->machine->total_bytes == 10240 * kMiB);
  CHECK(seen->nodes.size() == 3);
}

TEST_CASE_FIXTURE(BesideDevice, "a cgroup is charged for a device's memory, and gets it back") {
  look(9000 * kMiB, 4096 * kMiB);
  change([](platform::PressureLook& look) {
    look.cgroup = platform::CgroupSupply{1000 * kMiB, 1100 * kMiB};  // 150 MiB with the margin
  });
  monitor->start();
  CHECK(within_seconds([&] { return retained(0) + retained(2) == 0; }));
}

TEST_CASE_FIXTURE(BesideDevice, "a full device asks for what is retained there, and else nothing") {
  look(9000 * kMiB, 0);
  auto queue = std::make_shared<EventQueue>();
  monitor->subscribe(queue);
  monitor->start();
  REQUIRE(within_seconds([&] { return retained(2) == 0; }));
  CHECK(retained(0) == 64 * kMiB);
  REQUIRE(within_seconds([&] { return monitor->level() == PressureLevel::kNone; }));
  static_cast<void>(queue->take());
  REQUIRE(looked(3));
  CHECK(queue->take().empty());
}

TEST_CASE_FIXTURE(Monitored,
                  "a node that is short gets back what is on it, and others keep theirs") {
  open();
  retain(*pool, 16 * kMiB, 4, 0);
  retain(*pool, 16 * kMiB, 4, 1);
  monitor->attach(*pool, 0, 1);
  monitor->start();
  change([](platform::PressureLook& look) {
    look.nodes = {{0, {4000 * kMiB, 5120 * kMiB}}, {1, {20 * kMiB, 5120 * kMiB}}};
  });
  REQUIRE(
      within_seconds([&] { return of(1).retained_bytes < static_cast<std::int64_t>(64 * kMiB); }));
  monitor->stop();
  CHECK(of(0).retained_bytes == 64 * kMiB);
}

TEST_CASE_FIXTURE(Monitored, "a pool may close or be detached while it is trimmed") {
  open();
  retain(*pool, kMiB, 100, 0);
  monitor->attach(*pool, 0, 1);
  monitor->start();
  lack(500 * kMiB);
  CHECK(monitor->detach(*pool));
  CHECK_FALSE(monitor->detach(*pool));
  monitor->attach(*pool, 0, 1);
  close();  // the monitor still pins it
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  monitor->stop();
}

TEST_CASE_FIXTURE(Monitored, "it starts and stops at any time, and only says no where it cannot") {
  for (int i = 0; i < 50; ++i) {
    monitor->start();
    monitor->start();
    monitor->stop();
    monitor->stop();
  }
  pressure_script().refusal =
      platform::Failure{platform::Cause::kUnsupported, "memory pressure", 0, "scripted"};
  CHECK_THROWS_AS(monitor->start(), Error);
  CHECK_FALSE(monitor->running());
  pressure_script().refusal.reset();
  monitor->start();
  CHECK(monitor->sources().size() == 1);
}

TEST_CASE_FIXTURE(Monitored, "without memory for a look what is retained goes") {
  open();
  retain(*pool, 16 * kMiB, 8, 0);
  monitor->attach(*pool, 0, 1);
  {
    const std::lock_guard guard(pressure_script().mutex);
    pressure_script().fails = true;
  }
  monitor->start();
  CHECK(within_seconds([&] { return total().retained_bytes == 0; }));
}

TEST_CASE("a queue forgets the oldest, and takes nothing after its end") {
  EventQueue queue;
  PressureEvent event;
  for (std::uint64_t i = 0; i < EventQueue::kMost + 5; ++i) {
    event.demand_bytes = i;
    queue.post(event);
  }
  CHECK(queue.dropped() == 5);
  const std::vector<PressureEvent> taken = queue.take();
  REQUIRE(taken.size() == EventQueue::kMost);
  CHECK(taken.front().demand_bytes == 5);
  CHECK(queue.take().empty());
  queue.close();
  CHECK(queue.closed());
  queue.post(event);
  CHECK(queue.take().empty());
}

TEST_CASE_FIXTURE(Monitored, "weights of nothing and of infinity give what is asked for") {
  for (const double weight : {0.0, 1e-320, 1e308, std::numeric_limits<double>::infinity()}) {
    CAPTURE(weight);
    reset();
    PressurePolicy once = quick();
    once.cooldown_ms = 600'000;
    monitor = Monitor::make(once, {});
    open();
    Pool* other = Pool::open(topology(), {});
    retain(*pool, 16 * kMiB, 4, 0);
    retain(*other, 16 * kMiB, 4, 0);
    monitor->attach(*pool, 0, weight);
    monitor->attach(*other, 0, weight);
    monitor->start();
    lack(96 * kMiB);
    CHECK(within_seconds([&] { return monitor->statistics().trimmed_bytes >= 96 * kMiB; }));
    monitor->stop();
    monitor.reset();
    other->close();
    other->unpin();
    close();
  }
}

}  // namespace numapool
