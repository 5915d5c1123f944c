// A pool's life in which one system call, or one allocation of the program's own, fails: nothing
// leaks, and what the pool may hold does not shrink.
#include <doctest/doctest.h>

#include <array>
#include <new>

#include "failing_new.hpp"
#include "numapool/ring.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Failure;

constexpr std::uint64_t kMaxBytes = 64 * kMiB;  // the least of a pool with slabs

const char* const kCalls[] = {
    "map",       "unmap",     "discard",   "populate",          "set_policy", "move_to_node",
    "residency", "available", "node_room", "forbid_huge_pages", "spare_bytes"};

// Every use of a pool once, each of them survived whether it fails or not.
class Life : public Pools {
 public:
  Life() { prepare(); }

  void prepare() {
    platform::fake::drop_live_mappings();
    platform::fake::reset_memory();
    for (const int id : {0, 1, 2}) memory().rooms[id] = {5 * kMiB, kMiB};
    for (const char* const call : kCalls) memory().calls[call] = 0;
    count_ = 0;
  }

  void live() {
    PoolOptions options;
    options.max_bytes = kMaxBytes;
    attempt([&] { open(options); });
    if (pool == nullptr) return;
    borrow(4096, 0);
    borrow(5000, 0);
    borrow(4096, 1);
    borrow(1'500'000, 1);
    borrow(kMiB, 1, true);
    borrow(5 * kMiB + 1, 2);  // clean cache makes way
    borrow(7 * kMiB, 0);      // no node holds it alone
    give_one(1);
    move_one(2);
    attempt([&] { pool->reserve(kMiB, 2, 0, kNoInterrupts, {}); });
    use_ring();
    pool->trim(kMiB, std::nullopt);
    borrow(5000, 0);
    pool->trim(std::nullopt, std::nullopt);  // leaves hollow blocks behind
    borrow(4096, 0);
    borrow(600'000, 2, true);
    while (count_ != 0) give_one(0);
  }

  // After all of it came back: the counts, and room for as much as before.
  void check_books() {
    memory().failures_at.clear();
    if (pool == nullptr) return;
    CHECK(total().in_use_bytes == 0);
    pool->trim(std::nullopt, std::nullopt);
    CHECK(total().retained_bytes == 0);
    for (const int id : {0, 1, 2}) memory().rooms[id] = {256 * kMiB, 0};
    const Lease most = take(kMaxBytes, 0);
    give(most);
    close();
  }

 private:
  template <class Use>
  static void attempt(const Use& use) {
    try {
      use();
    } catch (const std::bad_alloc&) {
    } catch (const Error& error) {
      const ErrorKind kind = error.kind();
      if (kind != ErrorKind::kNoMemory && kind != ErrorKind::kSystem &&
          kind != ErrorKind::kPlacement && kind != ErrorKind::kUnsupported &&
          kind != ErrorKind::kExhausted) {
        FAIL_CHECK(error.what());
      }
    }
  }
  void borrow(std::uint64_t bytes, int node, bool strict = false) {
    attempt([&] {
      const Lease lease = take(bytes, node, strict);
      leases_.at(count_++) = lease;
    });
  }
  void give_one(std::size_t index) {
    if (index >= count_) return;
    const Lease lease = leases_.at(index);
    leases_.at(index) = leases_.at(--count_);
    give(lease);
  }
  void move_one(std::size_t index) {
    if (index >= count_) return;
    const Lease lease = leases_.at(index);
    leases_.at(index) = leases_.at(--count_);
    attempt([&] { static_cast<void>(migrate(lease.region, 2, kNoInterrupts)); });
    if (lease.keeper->give_back(lease.cookie, true)) lease.keeper->tidy();
  }
  void use_ring() {
    Ring* ring = nullptr;
    RingOptions options;
    options.block_bytes = 5000;
    options.count = 3;
    attempt([&] {
      options.nodes = 1;
      ring = Ring::open(*pool, options, kNoInterrupts, {});
    });
    if (ring == nullptr) return;
    Lease lease;
    const bool got = ring->try_acquire(lease);
    ring->drop();
    if (got) give(lease);
  }

  std::array<Lease, 16> leases_;
  std::size_t count_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Life, "of a pool's life the k-th call of any kind fails" * slow()) {
  for (const char* const call : kCalls) {
    for (const Cause cause : {Cause::kNoMemory, Cause::kRefused}) {
      for (int k = 1; k < 300; ++k) {
        CAPTURE(call);
        CAPTURE(k);
        prepare();
        memory().failures_at[call][k] = Failure{cause, call, 5, "on purpose"};
        live();
        const bool reached = memory().calls[call] >= k;
        check_books();
        CHECK_FALSE(memory().allocated_under_bind);
        CHECK(memory().misuses == 0);
        if (std::string_view(call) != "unmap" || !reached)
          CHECK(platform::fake::live_mappings() == 0);
        CHECK(platform::fake::resident_pages() == 0);
        if (!reached) break;
      }
    }
  }
}

TEST_CASE_FIXTURE(Life,
                  "of a pool's life the k-th allocation of the program's own fails" * slow()) {
  int k = 1;
  for (bool reached = true; reached && k < 3000; ++k) {
    CAPTURE(k);
    prepare();
    {
      const FailingNew failing(k);
      live();
      reached = failing.failed();
    }
    check_books();
    CHECK_FALSE(memory().allocated_under_bind);
    CHECK(memory().misuses == 0);
    CHECK(platform::fake::live_mappings() == 0);
  }
  CHECK(k > 100);
  CHECK(k < 3000);
}

TEST_CASE_FIXTURE(Life, "a pool that is closed without memory to spare gives back all the same") {
  int k = 1;
  for (bool reached = true; reached && k < 100; ++k) {
    CAPTURE(k);
    prepare();
    open();
    const Lease small = take(4096, 0);
    for (const std::uint64_t bytes : {300'000, 600'000, 5000}) give(take(bytes, 1));
    {
      const FailingNew failing(k);
      pool->close();
      reached = failing.failed();
    }
    CHECK(platform::fake::live_mappings() == 1);
    give(small);
    CHECK(platform::fake::live_mappings() == 0);
    close();
  }
  CHECK(k > 5);
  CHECK(k < 100);
}

TEST_CASE_FIXTURE(Life, "a trim without memory for a later list loses no earlier one") {
  int k = 1;
  for (bool reached = true; reached && k < 100; ++k) {
    CAPTURE(k);
    prepare();
    open();
    for (const int node : {0, 1, 2}) give(take(kMiB, node));
    std::uint64_t freed = 0;
    {
      const FailingNew failing(k);
      freed = pool->trim(std::nullopt, std::nullopt);
      reached = failing.failed();
    }
    freed += pool->trim(std::nullopt, std::nullopt);
    CHECK(freed == 3 * kMiB);
    CHECK(total().retained_bytes == 0);
    close();
    CHECK(platform::fake::live_mappings() == 0);
  }
  CHECK(k > 3);
  CHECK(k < 100);
}

}  // namespace numapool
