// The memory resource notifications on a scripted machine, and the bell on the real one.
#include "platform/pressure.hpp"

#include <winsock2.h>
// After winsock2.h, which must come before windows.h.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "windows/scripted.hpp"

namespace numapool::platform::windows::testing {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr auto kMachineBit = 1U << static_cast<unsigned>(PressureSource::kMachine);

std::unique_ptr<PressureWatch> open() {
  auto watch = open_pressure_watch({});
  REQUIRE(watch);
  return std::move(watch).value();
}

const SourceState& state_of(const std::vector<SourceState>& all, PressureSource source) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const SourceState& one) { return one.source == source; });
  REQUIRE(found != all.end());
  return *found;
}

TEST_CASE("low memory ends a wait once, and is noticed as long as it lasts") {
  Machine machine;
  const auto watch = open();
  CHECK_FALSE(watch->wait(0));
  REQUIRE(machine.waited_for.size() == 2);
  HANDLE const low = machine.waited_for[1];
  machine.low = true;
  CHECK(watch->wait(0));
  CHECK(watch->look().notices == kMachineBit);
  // Now it waits for High: the script signals any second handle.
  CHECK_FALSE(watch->wait(0));
  CHECK(machine.waited_for[1] != low);
  machine.low = false;
  CHECK_FALSE(watch->wait(0));
  CHECK(machine.waited_for[1] == low);
  CHECK(watch->look().notices == 0);
}

TEST_CASE("memory that is no longer low is watched for Low again, without High having come") {
  Machine machine;
  const auto watch = open();
  CHECK_FALSE(watch->wait(0));
  HANDLE const low = machine.waited_for[1];
  machine.low = true;
  CHECK(watch->wait(0));
  machine.low = false;
  CHECK_FALSE(watch->wait(0));
  CHECK(machine.waited_for[1] == low);
}

TEST_CASE("without notifications the machine is looked at, and the source says why") {
  Machine machine;
  machine.fails = "CreateMemoryResourceNotification";
  const auto watch = open();
  CHECK_FALSE(watch->wait(0));
  CHECK(machine.waited_for.size() == 1);
  const PressureLook look = watch->look();
  REQUIRE(look.machine);
  CHECK(look.machine->available_bytes == 32 * kGiB);
  CHECK(look.machine->total_bytes == 64 * kGiB);
  const auto states = watch->sources();
  const SourceState& state = state_of(states, PressureSource::kMachine);
  CHECK(state.active);
  CHECK_FALSE(state.wakes);
  CHECK(state.detail.find("Windows error 8") != std::string::npos);
}

TEST_CASE("the job's limit and the nodes are looked at, where there are some") {
  Machine machine;
  machine.nodes = {{0, {group(0, 1)}}, {1, {group(0, 2)}}};
  machine.free = {{0, kGiB}, {1, 2 * kGiB}};
  machine.in_job = true;
  machine.limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
  machine.limits.JobMemoryLimit = 3 * kGiB;
  machine.job_memory = kGiB;
  const auto watch = open();
  machine.free[1] = kGiB / 2;
  const PressureLook look = watch->look();
  REQUIRE(look.cgroup);
  CHECK(look.cgroup->limit_bytes == 3 * kGiB);
  CHECK(look.cgroup->needed_bytes == kGiB);
  REQUIRE(look.nodes.size() == 2);
  CHECK(look.nodes[1].supply.available_bytes == kGiB / 2);
  CHECK(look.nodes[1].supply.total_bytes == 2 * kGiB);
  CHECK_FALSE(state_of(watch->sources(), PressureSource::kStall).active);
}

TEST_CASE("the real notification wakes a wait, and so does a ring") {
  const auto watch = open();
  std::thread ringer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    watch->ring();
  });
  const std::uint64_t before = monotonic_ns();
  static_cast<void>(watch->wait(60'000));
  CHECK(monotonic_ns() - before < 30'000'000'000);
  ringer.join();
}

TEST_CASE("a bell that was rung is readable until it is quiet") {
  const Bell bell;
  REQUIRE(bell.descriptor() >= 0);
  const auto readable = [&] {
    fd_set set;
    FD_ZERO(&set);
    set.fd_array[0] = static_cast<SOCKET>(bell.descriptor());
    set.fd_count = 1;
    timeval wait{0, 200'000};
    return ::select(0, &set, nullptr, nullptr, &wait) == 1;
  };
  CHECK_FALSE(readable());
  bell.ring();
  bell.ring();
  CHECK(readable());
  bell.quiet();
  CHECK_FALSE(readable());
}

}  // namespace
}  // namespace numapool::platform::windows::testing
