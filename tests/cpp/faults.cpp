// Every system call of an allocation fails once: the error is one of ours, and nothing leaks.
#include <doctest/doctest.h>

#include <new>

#include "failing_new.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

using platform::Cause;
using platform::Failure;

const char* const kCalls[] = {"map",       "unmap",     "discard",    "forbid_huge_pages",
                              "lock",      "populate",  "set_policy", "move_to_node",
                              "residency", "available", "node_room",  "spare_bytes"};

struct Case {
  const char* name;
  AllocationRequest request;
};

std::vector<Case> cases() {
  std::vector<Case> out{{"fits", Scripted::request(4 * kMiB, 0)},
                        {"spills", Scripted::request(32 * kMiB, 1)},
                        {"splits", Scripted::request(100 * kMiB, 0)},
                        {"strict", Scripted::request(4 * kMiB, 0, true)},
                        {"strict on cache", Scripted::request(12 * kMiB, 1, true)}};
  out.push_back({"locked", Scripted::request(4 * kMiB, 0)});
  out.back().request.mlock = true;
  return out;
}

// Node 1 holds 8 MiB and 8 MiB of clean cache.
void set_rooms() { Scripted::memory().rooms[1] = {8 * kMiB, 8 * kMiB}; }

bool is_expected(ErrorKind kind) {
  return kind == ErrorKind::kNoMemory || kind == ErrorKind::kSystem ||
         kind == ErrorKind::kPlacement || kind == ErrorKind::kUnsupported;
}

}  // namespace

TEST_CASE_FIXTURE(Scripted, "a failure of the k-th call of any kind" * slow()) {
  for (const Case& one : cases()) {
    for (const char* const call : kCalls) {
      for (const Cause cause : {Cause::kNoMemory, Cause::kRefused, Cause::kOther}) {
        for (int k = 1; k < 40; ++k) {
          CAPTURE(one.name);
          CAPTURE(call);
          CAPTURE(k);
          platform::fake::reset_memory();
          for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
          set_rooms();
          memory().failures_at[call][k] = Failure{cause, call, 5, "on purpose"};
          bool reached = false;
          try {
            const Allocation got = allocate(one.request);
            reached = memory().calls[call] >= k;
            if (std::string_view(call) != "unmap") memory().failures_at.clear();
            const Placement seen = where(got);
            std::uint64_t sum = seen.not_resident_bytes + seen.unknown_bytes;
            for (const auto& [node, bytes] : seen.bytes_by_node) sum += bytes;
            CHECK(sum == got.block.mapping.length());
          } catch (const Error& error) {
            CHECK(is_expected(error.kind()));
          }
          reached = reached || memory().calls[call] >= k;
          CHECK_FALSE(memory().allocated_under_bind);
          CHECK(memory().misuses == 0);
          if (std::string_view(call) != "unmap" || !reached) {
            CHECK(platform::fake::live_mappings() == 0);
            CHECK(platform::fake::resident_pages() == 0);
          }
          platform::fake::drop_live_mappings();
          if (!reached) break;
        }
      }
    }
  }
}

TEST_CASE_FIXTURE(Scripted,
                  "a thread that fills memory has none of its own for what it has to say") {
  memory().rooms[0] = {512 * kMiB, 0};
  for (const std::uint64_t size : {4 * kMiB, 128 * kMiB}) {  // in this thread, in others
    memory().before = [](platform::fake::MemoryScript&, std::string_view call, int) {
      if (call == "populate") throw std::bad_alloc();
    };
    CHECK_THROWS_AS(static_cast<void>(allocate(request(size, 0))), std::bad_alloc);
    memory().before = nullptr;
    CHECK(platform::fake::live_mappings() == 0);
    CHECK(platform::fake::resident_pages() == 0);
  }
  CHECK_FALSE(memory().worker_cpus.empty());
}

TEST_CASE_FIXTURE(Scripted, "the program's own memory runs out in the k-th call") {
  for (int k = 1; k < 20; ++k) {
    platform::fake::reset_memory();
    for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
    set_rooms();
    int left = k;
    memory().before = [&left](platform::fake::MemoryScript&, std::string_view call, int) {
      // Where a Failure is put into words; unmap is called while an error is on its way.
      if (call != "unmap" && --left == 0) throw std::bad_alloc();
    };
    try {
      static_cast<void>(allocate(request(12 * kMiB, 1)));
    } catch (const std::bad_alloc&) {
    } catch (const Error&) {
    }
    memory().before = nullptr;
    CHECK(platform::fake::live_mappings() == 0);
    CHECK(platform::fake::resident_pages() == 0);
  }
}

TEST_CASE_FIXTURE(Scripted, "the k-th allocation of the program's own fails") {
  for (const Case& one : cases()) {
    int k = 1;
    for (bool reached = true; reached && k < 1000; ++k) {
      CAPTURE(one.name);
      CAPTURE(k);
      platform::fake::reset_memory();
      for (const int id : {0, 1, 2}) memory().rooms[id] = {64 * kMiB, 0};
      set_rooms();
      for (const char* const call : kCalls) memory().calls[call] = 0;  // the script needs none
      const Allocator allocator(topology());
      {
        const FailingNew failing(k);
        try {
          static_cast<void>(allocator.allocate(one.request, kNoInterrupts));
        } catch (const std::bad_alloc&) {
        } catch (const Error&) {
        }
        reached = failing.failed();
      }
      CHECK(memory().misuses == 0);
      CHECK(platform::fake::live_mappings() == 0);
      CHECK(platform::fake::resident_pages() == 0);
    }
    CHECK(k > 5);
    CHECK(k < 1000);
  }
}

}  // namespace numapool
