// Filling a pool in the background: how it ends, and that nothing is lost, whatever else goes on.
#include "numapool/reservation.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "platform/fake/process_script.hpp"
#include "pools.hpp"
#include "schedule.hpp"

namespace numapool {
namespace {

using Handle = std::shared_ptr<Reservation>;

struct Reservations : Pools {
  Reservations() { renewed_topology(); }

  Handle start(std::uint64_t bytes, std::uint64_t count, const NodeIds& nodes = 0) const {
    return Reservation::start(*pool, bytes, count, nodes);
  }
  Handle prepare(std::uint64_t bytes, std::uint64_t count, const NodeIds& nodes = 0) const {
    return Reservation::prepare(*pool, bytes, count, nodes);
  }
  static void join(Reservation& one) { CHECK(one.wait(std::nullopt, kNoInterrupts)); }
  static ErrorKind kind_of_end(const Reservation& one) {
    const std::optional<Error> error = one.error();
    REQUIRE(error.has_value());
    return error->kind();
  }
};

constexpr auto kBlock = static_cast<std::int64_t>(kMiB);

}  // namespace

TEST_CASE_FIXTURE(Reservations, "blocks are added by a thread on the CPUs of the node") {
  open();
  const Handle one = start(kMiB, 3, 1);
  join(*one);
  CHECK(one->over());
  CHECK_FALSE(one->cancelled());
  CHECK_FALSE(one->error().has_value());
  CHECK(one->added() == 3);
  CHECK(of(1).retained_bytes == 3 * kBlock);
  CHECK(memory().worker_cpus.front() == std::vector<int>{2, 3});
  give(take(kMiB, 1));
  CHECK(of(1).hits == 1);
}

TEST_CASE_FIXTURE(Reservations, "progress tells of parts of large blocks, and never goes back") {
  open();
  const Handle one = prepare(24 * kMiB, 2);
  std::vector<std::uint64_t> told{0};
  memory().turn = [&] {
    const std::uint64_t now = one->done_bytes() / kMiB;
    CHECK(now >= told.back());
    if (now != told.back()) told.push_back(now);
  };
  one->run();
  memory().turn = nullptr;
  CHECK(told == std::vector<std::uint64_t>{0, 8, 16, 24, 32, 40});
  CHECK(one->done_bytes() == 48 * kMiB);

  // Of a block that is not added in the end, nothing counts.
  for (auto& [node, room] : memory().rooms) room = {0, 0};
  memory().rooms[0] = {24 * kMiB, 0};
  memory().failures_at["populate"][memory().calls["populate"] + 2] = {
      platform::Cause::kNoMemory, "populate", 12, {}};
  const Handle other = prepare(24 * kMiB, 1);
  other->run();
  CHECK(other->error().has_value());
  CHECK(other->done_bytes() == 0);
}

TEST_CASE_FIXTURE(Reservations, "several nodes are filled at once") {
  open();
  std::atomic<int> at_work{0};
  // Neither goes on until both have come so far.
  memory().turn = [&at_work] {
    ++at_work;
    while (at_work < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const std::vector<Handle> both{start(kMiB, 2, 0), start(kMiB, 2, 1)};
  for (const Handle& one : both) join(*one);
  memory().turn = nullptr;
  CHECK(of(0).retained_bytes == 2 * kBlock);
  CHECK(of(1).retained_bytes == 2 * kBlock);
}

TEST_CASE_FIXTURE(Reservations, "without a node it is that of the thread that asks") {
  open();
  memory().current_node = 2;
  const Handle one = prepare(kMiB, 1, {});
  memory().current_node = 0;
  one->run();
  CHECK(of(2).retained_bytes == kBlock);
}

TEST_CASE_FIXTURE(Reservations, "what can never be served is refused at once") {
  PoolOptions options;
  options.max_bytes = 4 * kMiB;
  open(options);
  CHECK(kind_of([&] { return start(5 * kMiB, 1); }) == ErrorKind::kExhausted);
  CHECK(kind_of([&] { return start(0, 1); }) == ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return start(kMiB, 1, 9); }) == ErrorKind::kNodeNotFound);
  pool->close();
  CHECK(kind_of([&] { return start(kMiB, 1); }) == ErrorKind::kClosed);
}

TEST_CASE_FIXTURE(Reservations, "an error ends it, and what was added stays") {
  PoolOptions options;
  options.max_bytes = 2 * kMiB;
  open(options);
  const Handle capped = start(kMiB, 3);
  join(*capped);
  CHECK(kind_of_end(*capped) == ErrorKind::kExhausted);
  CHECK_FALSE(capped->cancelled());
  CHECK(capped->added() == 2);
  CHECK(total().retained_bytes == 2 * kBlock);
  close();

  open();
  for (auto& [node, room] : memory().rooms) room = {0, 0};
  memory().rooms[0] = {2 * kMiB, 0};
  const Handle full = start(kMiB, 3);
  join(*full);
  CHECK(kind_of_end(*full) == ErrorKind::kNoMemory);
  CHECK(total().retained_bytes == static_cast<std::int64_t>(full->added()) * kBlock);
}

TEST_CASE_FIXTURE(Reservations, "pressure ends it, so that what was trimmed is not filled again") {
  open();
  const Handle one = prepare(kMiB, 8);
  bool trimmed = false;
  memory().turn = [&] {
    if (one->added() != 3 || trimmed) return;
    trimmed = true;
    CHECK(pool->trim_within(kMiB, UINT64_MAX, std::nullopt) == kMiB);
  };
  one->run();
  memory().turn = nullptr;
  CHECK(kind_of_end(*one) == ErrorKind::kNoMemory);
  CHECK(one->added() < 8);
  CHECK(total().retained_bytes == static_cast<std::int64_t>(one->added() - 1) * kBlock);
  // A trim by the program itself is its own affair.
  const Handle other = prepare(kMiB, 2);
  pool->trim(std::nullopt, std::nullopt);
  other->run();
  CHECK(other->added() == 2);
}

TEST_CASE_FIXTURE(Reservations, "a wait ends with its time, or by an interrupt") {
  open();
  const Handle one = prepare(kMiB, 1);
  CHECK_FALSE(one->wait(0, kNoInterrupts));
  CHECK_FALSE(one->wait(1, kNoInterrupts));
  CHECK(kind_of([&] {
          return one->wait(std::nullopt, [] { throw Error(ErrorKind::kInterrupted, ""); });
        }) == ErrorKind::kInterrupted);
  CHECK_FALSE(one->over());
  one->run();
  CHECK(one->wait(0, kNoInterrupts));
}

TEST_CASE_FIXTURE(Reservations, "whoever drops it lets it go on; closing the pool ends it") {
  open();
  std::weak_ptr<Reservation> dropped = start(kMiB, 2);
  while (!dropped.expired()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(total().retained_bytes == 2 * kBlock);

  std::atomic<bool> closed{false};
  memory().before = [&closed](auto&, std::string_view call, int) {
    while (call == "populate" && !closed) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const Handle one = start(kMiB, 2);
  std::thread closes([&] {
    while (!pool->closed()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    closed = true;
  });
  pool->close();
  closes.join();
  join(*one);
  memory().before = nullptr;
  CHECK(kind_of_end(*one) == ErrorKind::kClosed);
}

TEST_CASE_FIXTURE(Reservations, "in the child of a fork it is over") {
  open();
  const Handle one = prepare(kMiB, 2);
  const auto& process = platform::fake::process_script();
  process.before_fork();
  process.in_child();
  CHECK(one->over());
  CHECK(one->cancelled());
  CHECK(one->wait(std::nullopt, kNoInterrupts));
  one->cancel();
  pool->unpin();  // its own, which the parent's thread has
}

TEST_CASE_FIXTURE(Reservations, "one reserves, one cancels, one takes and trims: every schedule") {
  each_word(6, 3, [&](const std::vector<unsigned>& choices) {
    open();
    const Handle one = prepare(kMiB, 2);
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    Lease lease;
    schedule.add([&] {
      schedule.turn();
      one->run();
    });
    schedule.add([&] {
      schedule.turn();
      one->cancel();
      schedule.turn();
    });
    schedule.add([&] {
      lease = take(kMiB, 0);
      schedule.turn();
      pool->trim(std::nullopt, std::nullopt);
    });
    schedule.run();
    memory().turn = nullptr;
    REQUIRE(one->over());
    REQUIRE_FALSE(one->error().has_value());
    REQUIRE(one->cancelled() == (one->added() < 2));
    REQUIRE(total().in_use_bytes == kBlock);
    give(lease);
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
}

TEST_CASE_FIXTURE(Reservations, "one reserves, one closes, one feels pressure: every schedule") {
  each_word(6, 3, [&](const std::vector<unsigned>& choices) {
    open();
    Handle one = prepare(kMiB, 2);
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    schedule.add([&] {
      schedule.turn();
      one->run();
    });
    schedule.add([&] {
      schedule.turn();
      pool->close();
    });
    schedule.add([&] {
      schedule.turn();
      pool->trim_within(kMiB, UINT64_MAX, 0);
    });
    schedule.run();
    memory().turn = nullptr;
    REQUIRE(one->over());
    REQUIRE(one->error().has_value() == (one->added() < 2));
    if (one->error()) {
      const ErrorKind kind = kind_of_end(*one);
      REQUIRE((kind == ErrorKind::kClosed || kind == ErrorKind::kNoMemory));
    }
    one.reset();
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
  CHECK(memory().misuses == 0);
}

}  // namespace numapool
