// The line of those who wait for a pool's memory without a thread: order, leaving, closing, and
// that nobody is forgotten.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "numapool/error.hpp"
#include "numapool/turn.hpp"
#include "pools.hpp"
#include "schedule.hpp"

namespace numapool {
namespace {

struct Lines : Pools {
  // A block at once, or a turn.
  std::shared_ptr<Turn> join(std::uint64_t key, std::uint64_t bytes, Lease& lease,
                             NodeIds nodes = 0) {
    AcquireRequest request;
    request.size_bytes = bytes;
    request.nodes = std::move(nodes);
    return pool->join_line(request, box, {key, false}, lease, kNoInterrupts, {});
  }
  std::shared_ptr<Turn> wait(std::uint64_t key, std::uint64_t bytes) {
    Lease lease;
    std::shared_ptr<Turn> turn = join(key, bytes, lease);
    REQUIRE(turn != nullptr);
    return turn;
  }
  // The keys of those that came up, whose blocks go back.
  std::vector<std::uint64_t> served() const {
    std::vector<std::uint64_t> keys;
    for (const std::shared_ptr<Turn>& turn : box->take()) {
      REQUIRE(turn->lease.has_value());
      keys.push_back(turn->mark.key);
      give(*std::exchange(turn->lease, std::nullopt));
    }
    return keys;
  }
  void open_with(std::uint64_t most) {
    PoolOptions options;
    options.max_bytes = most;
    open(options);
  }
  std::shared_ptr<TurnBox> box = std::make_shared<TurnBox>();
};

using Keys = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE_FIXTURE(Lines, "where there is room nobody stands in line") {
  open_with(4 * kMiB);
  Lease lease;
  CHECK(join(1, kMiB, lease) == nullptr);
  CHECK(lease.region.length >= kMiB);
  CHECK(total().misses == 1);
  give(lease);
  CHECK(join(2, kMiB, lease) == nullptr);
  CHECK(total().hits == 1);
  give(lease);
}

TEST_CASE_FIXTURE(Lines, "a block that comes back is the first one's, and so on") {
  open_with(2 * kMiB);
  std::array<Lease, 2> held{take(kMiB, 0), take(kMiB, 0)};
  const std::array<std::shared_ptr<Turn>, 3> turns{wait(1, kMiB), wait(2, kMiB), wait(3, kMiB)};
  CHECK(served().empty());
  give(held[0]);
  CHECK(total().in_use_bytes == 2 * static_cast<std::int64_t>(kMiB));
  CHECK(total().hits == 1);
  // What it drops goes to the next, and so to the last.
  CHECK(served() == Keys{1});
  CHECK(served() == Keys{2});
  CHECK(served() == Keys{3});
  give(held[1]);
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Lines, "those that came up are told in the order of the line") {
  open_with(2 * kMiB);
  const Lease all = take(2 * kMiB, 0);
  std::vector<std::shared_ptr<Turn>> turns;
  for (std::uint64_t key = 0; key < 3; ++key) turns.push_back(wait(key, kMiB / 2));
  give(all);
  std::vector<std::shared_ptr<Turn>> came = box->take();
  REQUIRE(came.size() == 3);
  for (std::uint64_t key = 0; key < 3; ++key) CHECK(came[key]->mark.key == key);
  CHECK(total().in_use_bytes == static_cast<std::int64_t>(3 * kMiB / 2));
  came.clear();
  turns.clear();
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Lines, "a small request does not overtake a large one") {
  open_with(4 * kMiB);
  std::array<Lease, 4> held{take(kMiB, 0), take(kMiB, 0), take(kMiB, 0), take(kMiB, 0)};
  const auto large = wait(1, 2 * kMiB);
  const auto small = wait(2, kMiB);
  give(held[0]);
  CHECK(served().empty());
  Lease lease;
  const auto third = join(3, kMiB, lease);  // behind them, though a block is free
  CHECK(third != nullptr);
  give(held[1]);
  CHECK(served() == Keys{1});  // it drops it, and the others follow
  CHECK(served() == Keys{2, 3});
  give(held[2]);
  give(held[3]);
}

TEST_CASE_FIXTURE(Lines, "who leaves is not served, and those behind move up") {
  open_with(2 * kMiB);
  const Lease all = take(2 * kMiB, 0);
  const auto large = wait(1, 2 * kMiB);
  const auto middle = wait(2, kMiB);
  const auto last = wait(3, kMiB);
  CHECK(pool->leave_line(*middle));
  CHECK_FALSE(pool->leave_line(*middle));
  give(all);
  CHECK(served() == Keys{1});
  CHECK(served() == Keys{3});
  CHECK_FALSE(pool->leave_line(*last));
}

TEST_CASE_FIXTURE(Lines, "when the first one leaves, the next may fit") {
  open_with(2 * kMiB);
  const Lease held = take(kMiB, 0);
  const auto large = wait(1, 2 * kMiB);
  const auto small = wait(2, kMiB);
  CHECK(served().empty());
  CHECK(pool->leave_line(*large));
  CHECK(served() == Keys{2});
  give(held);
}

TEST_CASE_FIXTURE(Lines, "what never fits, and a closed pool, are refused at once") {
  open_with(2 * kMiB);
  Lease lease;
  CHECK_THROWS_AS(join(1, 3 * kMiB, lease), Error);
  CHECK_THROWS_AS(join(1, kMiB, lease, 77), Error);
  pool->close();
  CHECK_THROWS_AS(join(1, kMiB, lease), Error);
}

TEST_CASE_FIXTURE(Lines, "closing tells everybody in line") {
  open_with(kMiB);
  const Lease held = take(kMiB, 0);
  std::vector<std::shared_ptr<Turn>> turns;
  for (std::uint64_t key = 0; key < 3; ++key) turns.push_back(wait(key, kMiB));
  pool->close();
  const auto came = box->take();
  REQUIRE(came.size() == 3);
  for (const auto& turn : came) {
    REQUIRE(turn->error.has_value());
    CHECK(turn->error->kind() == ErrorKind::kClosed);
  }
  give(held);
}

TEST_CASE_FIXTURE(Lines, "room of a ring that goes, and of a reserve that fails, is seen") {
  open_with(2 * kMiB);
  Allocation fixed = pool->take_fixed(2 * kMiB, 0, false, kNoInterrupts);
  const auto turn = wait(1, kMiB);
  pool->drop_fixed(std::move(fixed.block));
  CHECK(served() == Keys{1});
}

TEST_CASE_FIXTURE(Lines, "an error of the system ends the request that met it, and no other") {
  open_with(2 * kMiB);
  const Lease held = take(2 * kMiB, 0);
  const auto first = wait(1, kMiB);
  const auto second = wait(2, 2 * kMiB);
  for (auto& [node, room] : memory().rooms) room = {0, 0};
  give(held);
  auto came = box->take();
  REQUIRE(came.size() >= 1);
  CHECK(came[0]->mark.key == 1);
  CHECK((came[0]->error.has_value() || came[0]->lease.has_value()));
  came.clear();
  static_cast<void>(box->take());
}

TEST_CASE_FIXTURE(Lines, "one waits, one gives back, one trims: nobody is forgotten") {
  each_word(5, 3, [&](const std::vector<unsigned>& choices) {
    open_with(2 * kMiB);
    Lease held = take(2 * kMiB, 0);
    std::shared_ptr<Turn> turn;
    Lease lease;
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    schedule.add([&] {
      schedule.turn();
      turn = join(1, kMiB, lease);
      schedule.turn();
    });
    schedule.add([&] {
      schedule.turn();
      const bool work = held.keeper->give_back(held.cookie, false);
      schedule.turn();
      if (work) held.keeper->tidy();
    });
    schedule.add([&] {
      pool->trim(std::nullopt, std::nullopt);
      schedule.turn();
      pool->trim(kMiB, 0);
    });
    schedule.run();
    memory().turn = nullptr;
    const std::size_t came = turn == nullptr ? 0 : served().size();
    if (turn == nullptr) give(lease);
    REQUIRE((turn == nullptr || came == 1));
    CHECK(total().in_use_bytes == 0);
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
}

TEST_CASE_FIXTURE(Lines, "one waits and leaves, one gives back, one closes: every schedule") {
  each_word(6, 3, [&](const std::vector<unsigned>& choices) {
    open_with(2 * kMiB);
    const Lease held = take(2 * kMiB, 0);
    bool left = false;
    bool refused = false;
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    schedule.add([&] {
      Lease lease;
      try {
        schedule.turn();
        const std::shared_ptr<Turn> turn = join(1, kMiB, lease);
        schedule.turn();
        if (turn == nullptr) {
          give(lease);
          refused = true;
        } else {
          left = pool->leave_line(*turn);
        }
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kClosed);
        refused = true;
      }
    });
    schedule.add([&] {
      schedule.turn();
      give(held);
    });
    schedule.add([&] {
      schedule.turn();
      schedule.turn();
      pool->close();
    });
    schedule.run();
    memory().turn = nullptr;
    const auto came = box->take();
    // Each request ends in one way.
    REQUIRE(static_cast<int>(left) + static_cast<int>(refused) + static_cast<int>(came.size()) ==
            1);
    for (const auto& turn : came) CHECK(turn->lease.has_value() != turn->error.has_value());
  });
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(Lines, "threads give back while others wait: all are served") {
  constexpr std::uint64_t kRounds = 2000;
  open_with(2 * kMiB);
  std::atomic<std::uint64_t> got{0};
  const auto work = [&](const std::shared_ptr<TurnBox>& own) {
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      AcquireRequest request;
      request.size_bytes = 2 * kMiB;
      request.nodes = 0;
      Lease lease;
      std::shared_ptr<Turn> turn =
          pool->join_line(request, own, {round, false}, lease, kNoInterrupts, {});
      if (turn == nullptr) {
        give(lease);
      } else {
        while (own->take().empty()) std::this_thread::yield();
      }
      ++got;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { work(std::make_shared<TurnBox>()); });
  for (std::thread& thread : threads) thread.join();
  CHECK(got == 3 * kRounds);
  CHECK(total().in_use_bytes == 0);
}

}  // namespace numapool
