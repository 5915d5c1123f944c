// The protocol of pools, trims, ends and views under every schedule of a few turns: who closes, who
// trims, who drops the last view, in whatever order, all memory goes back once.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/exports.hpp"
#include "numapool/ring.hpp"
#include "pools.hpp"
#include "schedule.hpp"

namespace numapool {
namespace {

using bindings::Exports;

// How many turns are chosen in every way: 3 to the power of it are the schedules of a test.
std::size_t turns() {
  const char* const text = std::getenv("NUMAPOOL_SCHEDULE_TURNS");
  return text == nullptr ? 6 : std::strtoul(text, nullptr, 10);
}

// A buffer as Python has it: a lease under a count of views.
class View {
 public:
  explicit View(const Lease& lease) : lease_(lease) {}
  bool open() { return exports_.add(); }
  void close_view() {
    if (exports_.drop()) free();
  }
  bool close() {
    const Exports::Close done = exports_.close();
    if (done == Exports::Close::kFree) free();
    return done != Exports::Close::kBusy;
  }
  void leave() {
    if (exports_.close_when_unused()) free();
  }
  [[nodiscard]] const Lease& lease() const { return lease_; }
  [[nodiscard]] int freed() const { return freed_; }

 private:
  void free() {
    ++freed_;
    if (lease_.keeper->give_back(lease_.cookie, false)) lease_.keeper->tidy();
  }
  Exports exports_;
  Lease lease_;
  int freed_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Pools, "one closes, one drops a view, one trims: every schedule") {
  std::size_t schedules = 0;
  each_word(turns(), 3, [&](const std::vector<unsigned>& choices) {
    ++schedules;
    open();
    View view(take(4096, 0));
    give(take(kMiB, 0));
    REQUIRE(view.open());
    auto* const bytes = static_cast<char*>(view.lease().region.address);
    std::memset(bytes, 7, 4096);
    bool intact = true;
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    schedule.add([&] {
      schedule.turn();
      const bool closed = view.close();
      schedule.turn();
      if (!closed) view.leave();
      schedule.turn();
    });
    schedule.add([&] {
      schedule.turn();
      intact = intact && bytes[4095] == 7;
      schedule.turn();
      intact = intact && bytes[0] == 7;
      view.close_view();
      schedule.turn();
    });
    schedule.add([&] {
      pool->trim(kMiB, std::nullopt);
      schedule.turn();
      pool->trim(std::nullopt, std::nullopt);
      schedule.turn();
      pool->close();
      schedule.turn();
    });
    schedule.run();
    memory().turn = nullptr;
    if (!intact || view.freed() != 1) {
      CHECK(intact);
      CHECK(view.freed() == 1);
    }
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
  MESSAGE("schedules: " << schedules);
}

TEST_CASE_FIXTURE(Pools, "one acquires, one trims as the monitor does, one ends the pool") {
  std::size_t schedules = 0;
  each_word(turns(), 3, [&](const std::vector<unsigned>& choices) {
    ++schedules;
    open();
    give(take(600'000, 1));
    give(take(5000, 1));
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    const auto borrow = [&](std::uint64_t bytes) {
      try {
        const Lease lease = take(bytes, 1);
        std::memset(lease.region.address, 3, bytes);
        schedule.turn();
        const bool same = static_cast<char*>(lease.region.address)[bytes - 1] == 3;
        if (!same) CHECK(same);
        give(lease);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kClosed) FAIL_CHECK(error.what());
      }
      schedule.turn();
    };
    schedule.add([&] {
      borrow(5000);
      borrow(600'000);
    });
    schedule.add([&] {  // pinned, as an attached pool is
      pool->pin();
      schedule.turn();
      pool->trim_within(kMiB, 8 * kMiB, std::nullopt);
      schedule.turn();
      pool->trim_within(8 * kMiB, 8 * kMiB, 1);
      pool->unpin();
      schedule.turn();
    });
    schedule.add([&] {
      schedule.turn();
      pool->close();
      schedule.turn();
    });
    schedule.run();
    memory().turn = nullptr;
    close();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
  MESSAGE("schedules: " << schedules);
}

TEST_CASE_FIXTURE(Pools, "a ring is dropped while its blocks come back and its pool ends") {
  std::size_t schedules = 0;
  each_word(turns(), 3, [&](const std::vector<unsigned>& choices) {
    ++schedules;
    open();
    RingOptions options;
    options.block_bytes = 5000;
    options.count = 2;
    Ring* const ring = Ring::open(*pool, options, kNoInterrupts, {});
    std::array<Lease, 2> leases;
    for (Lease& lease : leases) REQUIRE(ring->try_acquire(lease));
    Schedule schedule(choices);
    memory().turn = [&schedule] { schedule.turn(); };
    schedule.add([&] {
      schedule.turn();
      ring->close();
      schedule.turn();
      ring->drop();
      schedule.turn();
    });
    schedule.add([&] {
      give(leases[0]);
      schedule.turn();
      std::memset(leases[1].region.address, 1, 5000);
      give(leases[1]);
      schedule.turn();
    });
    schedule.add([&] {
      schedule.turn();
      std::exchange(pool, nullptr)->close();
      schedule.turn();
    });
    Pool* const whole = pool;
    schedule.run();
    memory().turn = nullptr;
    whole->unpin();
    REQUIRE(platform::fake::live_mappings() == 0);
  });
  MESSAGE("schedules: " << schedules);
}

}  // namespace numapool
