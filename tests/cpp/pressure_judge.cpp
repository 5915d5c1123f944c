// When is there pressure, how much is asked for, and when is it over?
#include "pressure/pressure_judge.hpp"

#include <doctest/doctest.h>

namespace numapool {
namespace {

using platform::PressureLook;
using platform::PressureSource;
using Events = std::vector<PressureEvent>;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kMs = 1'000'000;

// A machine of 10 GiB, of which `available` is left, and a clock.
struct Judged {
  explicit Judged(PressurePolicy chosen = {}) : policy(chosen), judge(chosen) {
    machine(8000);
    at(0);
  }
  void machine(std::uint64_t available_mib) {
    look.machine = platform::Supply{available_mib * kMiB, 10240 * kMiB};
  }
  void stall(std::uint64_t some_ms, std::uint64_t full_ms = 0) {
    if (!look.stall) look.stall = platform::StallTotals{};
    look.stall->some_us += some_ms * 1000;
    look.stall->full_us += full_ms * 1000;
  }
  // Looks `ms` later.
  Events at(std::uint64_t ms) {
    now += ms * kMs;
    Events events = judge.judge(look, now);
    look.notices = 0;
    look.near_the_killer = false;
    return events;
  }
  bool is_relieved_within(std::uint64_t ms) {
    for (std::uint64_t spent = 0; spent < ms; spent += 100) {
      for (const PressureEvent& event : at(100)) {
        if (event.level == PressureLevel::kNone) return judge.level() == PressureLevel::kNone;
      }
    }
    return false;
  }
  PressurePolicy policy;
  PressureJudge judge;
  PressureLook look;
  std::uint64_t now = 1'000'000 * kMs;
};

}  // namespace

TEST_CASE("with memory to spare nothing is asked for") {
  Judged one;
  for (int i = 0; i < 50; ++i) CHECK(one.at(100).empty());
  CHECK(one.judge.level() == PressureLevel::kNone);
}

TEST_CASE("what is missing to the margin is asked for, and a little more ends it") {
  Judged one;  // 5 % of 10 GiB: 512 MiB
  one.machine(400);
  const Events first = one.at(100);
  REQUIRE(first.size() == 1);
  CHECK(first[0].demand_bytes == 112 * kMiB);
  CHECK(first[0].level == PressureLevel::kModerate);
  CHECK(first[0].source == PressureSource::kMachine);
  CHECK_FALSE(first[0].node_id);
  CHECK(first[0].origin_ns == one.now);
  one.machine(530);  // above the margin, within the hysteresis
  CHECK(one.at(100).empty());
  CHECK(one.judge.level() == PressureLevel::kModerate);
  one.machine(600);
  CHECK(one.at(1900).empty());
  const Events over = one.at(200);
  REQUIRE(over.size() == 1);
  CHECK(over[0].level == PressureLevel::kNone);
  CHECK(over[0].source == PressureSource::kMachine);
  CHECK(one.judge.level() == PressureLevel::kNone);
  CHECK(one.at(100).empty());
}

TEST_CASE("less than a quarter of the margin is critical, and said at once") {
  Judged one;
  one.machine(400);
  REQUIRE(one.at(100).size() == 1);
  one.machine(100);
  const Events worse = one.at(10);
  REQUIRE(worse.size() == 1);
  CHECK(worse[0].level == PressureLevel::kCritical);
}

TEST_CASE("the same demand is repeated less and less often") {
  Judged one;
  one.machine(400);
  int demands = 0;
  for (int i = 0; i < 1000; ++i) demands += static_cast<int>(one.at(100).size());
  // 100 s: pauses of 0.25, 0.5, 1, 2, and then 4 s.
  CHECK(demands >= 25);
  CHECK(demands <= 31);
}

TEST_CASE("a stall without a deficit asks for steps that double") {
  Judged one;
  one.stall(0);
  CHECK(one.at(100).empty());
  one.stall(20);
  CHECK(one.at(100).empty());  // less than 35 ms in half a second
  one.stall(20);
  const Events first = one.at(100);
  REQUIRE(first.size() == 1);
  CHECK(first[0].source == PressureSource::kStall);
  CHECK(first[0].demand_bytes == 32 * kMiB);
  CHECK(first[0].stall_us == 40'000);
  CHECK(first[0].origin_ns < one.now - 100 * kMs);  // when it first grew
  std::vector<std::uint64_t> steps;
  for (int i = 0; i < 10; ++i) {
    one.stall(50);
    for (const PressureEvent& event : one.at(100)) steps.push_back(event.demand_bytes / kMiB);
  }
  CHECK(steps == std::vector<std::uint64_t>{64, 128, 256});
  CHECK(one.is_relieved_within(4000));
  one.stall(50);
  CHECK(one.at(100).at(0).demand_bytes == 32 * kMiB);  // it begins anew
}

TEST_CASE("a stall long ago is no stall, nor is one spread over a long time") {
  Judged one;
  one.stall(0);
  one.at(100);
  one.stall(60);
  CHECK(one.at(5000).empty());  // 6 ms for each half second
  CHECK(one.at(100).empty());
  one.stall(30);
  CHECK(one.at(100).empty());
  one.at(600);
  one.stall(30);
  CHECK(one.at(100).empty());
}

TEST_CASE("a full stall of half the time is critical") {
  Judged one;
  one.stall(0, 0);
  one.at(100);
  PressureLevel highest = PressureLevel::kNone;
  for (int i = 0; i < 5; ++i) {
    one.stall(80, 70);
    for (const PressureEvent& event : one.at(100)) highest = std::max(highest, event.level);
  }
  CHECK(highest == PressureLevel::kCritical);
}

TEST_CASE("totals that go back are another file's: nothing follows from them") {
  Judged one;
  one.look.stall = platform::StallTotals{PressureSource::kCgroupStall, 9'000'000, 0};
  one.at(100);
  one.look.stall = platform::StallTotals{PressureSource::kStall, 9'500'000, 0};
  CHECK(one.at(100).empty());
  one.look.stall->some_us = 5;
  CHECK(one.at(100).empty());
  one.look.stall->some_us += 50'000;
  CHECK(one.at(100).size() == 1);
}

TEST_CASE("a cgroup over its limit asks for what is over and for its margin") {
  Judged one;
  one.look.cgroup = platform::CgroupSupply{1000 * kMiB, 500 * kMiB};
  CHECK(one.at(100).empty());
  one.look.cgroup = platform::CgroupSupply{1000 * kMiB, 1020 * kMiB};
  const Events events = one.at(100);
  REQUIRE(events.size() == 1);
  CHECK(events[0].source == PressureSource::kCgroup);
  CHECK(events[0].demand_bytes == (50 + 20) * kMiB);
  CHECK(events[0].level == PressureLevel::kCritical);
}

TEST_CASE("coming to the hard limit is critical") {
  Judged one;
  one.look.near_the_killer = true;
  one.look.notices = 1U << static_cast<unsigned>(PressureSource::kCgroup);
  const Events events = one.at(100);
  REQUIRE(events.size() == 1);
  CHECK(events[0].level == PressureLevel::kCritical);
  CHECK(events[0].source == PressureSource::kCgroup);
  CHECK(events[0].demand_bytes == one.policy.step_bytes);
}

TEST_CASE("a notice without a measure asks for a step") {
  for (const auto source : {PressureSource::kCgroupNotice, PressureSource::kSystemd}) {
    Judged one;
    one.look.notices = 1U << static_cast<unsigned>(source);
    const Events events = one.at(100);
    REQUIRE(events.size() == 1);
    CHECK(events[0].source == source);
    CHECK(events[0].demand_bytes == one.policy.step_bytes);
  }
}

TEST_CASE("a balloon asks for what it takes, less what was released") {
  Judged one;
  one.look.balloon_bytes = 100 * kMiB;
  CHECK(one.at(100).empty());
  CHECK(one.at(100).empty());
  one.look.balloon_bytes = 130 * kMiB;
  const Events first = one.at(100);
  REQUIRE(first.size() == 1);
  CHECK(first[0].source == PressureSource::kBalloon);
  CHECK(first[0].demand_bytes == 30 * kMiB);
  one.judge.released(20 * kMiB);
  one.look.balloon_bytes = 190 * kMiB;
  const Events more = one.at(100);
  REQUIRE(more.size() == 1);
  CHECK(more[0].demand_bytes == 70 * kMiB);
  CHECK(one.judge.next(true, one.now).wait_ms <= 10);  // it is followed closely
  CHECK(one.is_relieved_within(4000));
  one.look.balloon_bytes = 0;
  CHECK(one.at(100).empty());
}

TEST_CASE("what the host wants in the balloon is asked for before it is taken") {
  Judged one;
  one.look.balloon_bytes = 100 * kMiB;
  one.look.balloon_target_bytes = 100 * kMiB;
  CHECK(one.at(100).empty());
  one.look.balloon_target_bytes = 400 * kMiB;
  const Events events = one.at(100);
  REQUIRE(events.size() == 1);
  CHECK(events[0].demand_bytes == 300 * kMiB);
  one.judge.released(300 * kMiB);
  one.look.balloon_bytes = 150 * kMiB;  // on its way: nothing more is needed
  CHECK(one.at(300).empty());
  CHECK(one.at(300).empty());
  one.look.balloon_target_bytes = 0;  // it shrinks: nothing is asked for
  CHECK(one.is_relieved_within(4000));
}

TEST_CASE("each node that is short asks for itself") {
  Judged one;
  one.look.nodes = {{0, {3000 * kMiB, 5120 * kMiB}}, {1, {10 * kMiB, 5120 * kMiB}}};
  const Events events = one.at(100);
  REQUIRE(events.size() == 1);
  CHECK(events[0].node_id == 1);
  CHECK(events[0].source == PressureSource::kNodes);
  CHECK(events[0].demand_bytes == 5120 * kMiB / 100 - 10 * kMiB);
  one.look.nodes[1].supply.available_bytes = 3000 * kMiB;
  const Events over = one.at(2100);
  REQUIRE(over.size() == 1);
  CHECK(over[0].level == PressureLevel::kNone);
  CHECK(over[0].node_id == 1);
}

TEST_CASE("a single node says nothing that the machine does not") {
  Judged one;
  one.look.nodes = {{0, {1 * kMiB, 5120 * kMiB}}};
  CHECK(one.at(100).empty());
}

TEST_CASE("looks are rare in peace, closer without a trigger, and close while something stirs") {
  Judged one;
  one.stall(0);
  one.at(100);
  CHECK(one.judge.next(true, one.now).wait_ms == 1000);
  CHECK(one.judge.next(false, one.now).wait_ms == 100);
  one.stall(1);
  one.at(100);
  CHECK(one.judge.next(false, one.now).wait_ms == 10);
  CHECK(one.judge.next(true, one.now).wait_ms == 10);
  one.at(1000);
  one.machine(900);  // less than two margins
  one.at(100);
  CHECK(one.judge.next(true, one.now).wait_ms == 100);
}

}  // namespace numapool
