// Limits that are heeded before memory is mapped, and interrupts while it is populated.
#include "numapool/limits.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "platform/fake/process_script.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

using platform::Bound;
using platform::Cause;
using platform::Failure;

AllocationRequest huge(std::uint64_t bytes) {
  AllocationRequest out = Scripted::request(bytes, 0);
  out.page = {PageRequest::Kind::kHugetlb, platform::fake::kHugePage};
  return out;
}

}  // namespace

TEST_CASE("the least of the bounds that are known") {
  CHECK_FALSE(least_bound({}));
  const std::vector<Bound> bounds{{"a", 30, {}, false},
                                  {"b", std::nullopt, "unreadable", false},
                                  {"c", 10, {}, true},
                                  {"d", 20, {}, false},
                                  {"e", 20, {}, false}};
  CHECK(least_bound(bounds)->limit == "c");
  CHECK(least_bound(bounds, PolicyOf::kMapping)->limit == "d");
}

TEST_CASE_FIXTURE(Scripted, "a limit on huge pages is met before they are mapped") {
  memory().hugetlb = {{platform::fake::kHugePage, 16, 16}};
  memory().hugetlb_limit_bytes = 4 * kMiB;
  for (const bool populate : {true, false}) {
    AllocationRequest request = huge(16 * kMiB);
    request.populate = populate;
    const auto [kind, text] = error_of([&] { return allocate(request); });
    CHECK(kind == ErrorKind::kNoMemory);
    CHECK(text.find("8 huge pages of 2 MiB: this process may use 2 more") != std::string::npos);
    CHECK(text.find("raise that limit") != std::string::npos);
  }
  CHECK(memory().calls["map"] == 0);
  const Allocation got = allocate(huge(4 * kMiB));
  CHECK(where(got).wholly_on(0, 4 * kMiB));
}

TEST_CASE_FIXTURE(Scripted, "a strict policy of the thread bounds what has no policy of its own") {
  memory().thread_policy_bytes = kMiB;
  CHECK(allocate(request(8 * kMiB, 0)).block.place.node_id == 0);
  AllocationRequest anywhere = request(8 * kMiB, 0);
  anywhere.nodes = {};
  CHECK(kind_of([&] { return allocate(anywhere); }) == ErrorKind::kNoMemory);
  memory().failures["set_policy"] = Failure{Cause::kRefused, "mbind", EPERM, {}};
  CHECK(kind_of([&] { return allocate(request(8 * kMiB, 0)); }) == ErrorKind::kNoMemory);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Scripted,
                  "pages that come slowly are asked for in small pieces, with interrupts") {
  // As in a cgroup over its memory.high: each call takes a tenth of a second.
  memory().before = [](platform::fake::MemoryScript&, std::string_view call, int) {
    if (call == "populate") platform::fake::process_script().now_ms += 100;
  };
  int checks = 0;
  const Allocator allocator(topology());
  const InterruptCheck count = [&checks] { ++checks; };
  static_cast<void>(allocator.allocate(request(16 * kMiB, 0), count));
  const int calls = memory().calls["populate"];
  CHECK(checks == calls);
  CHECK(calls > 100);

  const InterruptCheck stop = [] { throw Error(ErrorKind::kInterrupted, "stop"); };
  CHECK(kind_of([&] { return allocator.allocate(request(16 * kMiB, 0), stop); }) ==
        ErrorKind::kInterrupted);
  CHECK(memory().calls["populate"] == calls + 1);
  CHECK(platform::fake::live_mappings() == 0);
}

}  // namespace numapool
