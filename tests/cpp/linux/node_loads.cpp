// Pairs of counters, by events that every machine has; those of nodes are the processor's.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "platform/linux/machine/counters.hpp"

namespace numapool::platform {
namespace {

std::uint64_t count_of(int descriptor) {
  std::uint64_t count = 0;
  REQUIRE(read(descriptor, &count, sizeof count) == sizeof count);
  return count;
}

}  // namespace

TEST_CASE("a pair of counters of a thread runs") {
  const auto pair =
      count_pair(gettid(), PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, PERF_COUNT_SW_TASK_CLOCK);
  if (!pair) {  // sandboxes, kernel.perf_event_paranoid above 2
    CHECK(is_denied(pair.failure()));
    return;
  }
  const auto [loads, remote, local] = pair.value();
  CHECK_FALSE(local);
  CHECK((fcntl(loads, F_GETFD) & FD_CLOEXEC) != 0);
  const std::uint64_t before = count_of(loads);
  const std::uint64_t remote_before = count_of(remote);
  while (count_of(loads) == before) continue;  // a clock of this thread: it runs on
  CHECK(count_of(remote) > remote_before);
  close(loads);
  close(remote);
}

TEST_CASE("an event that there is not is unsupported, and leaves no descriptor open") {
  const int next = dup(0);
  close(next);
  const auto pair = count_pair(gettid(), PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, 0xffff);
  REQUIRE_FALSE(pair);
  CHECK(pair.failure().call == "perf_event_open");
  const int again = dup(0);
  close(again);
  CHECK(again == next);
}

TEST_CASE("loads by node are counted, or are not the processor's to count") {
  const auto pair = count_node_loads(gettid());
  if (!pair) {
    CHECK(pair.failure().call == "perf_event_open");
    return;
  }
  CHECK(count_of(pair.value().loads) + 1 > 0);
  close(pair.value().loads);
  close(pair.value().remote);
}

}  // namespace numapool::platform
