// What is found out on a scratch page: the system's answer, good or bad, and nothing left behind.
#include "numapool/probe.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "scripted.hpp"

namespace numapool {

using platform::Cause;
using platform::Failure;
using platform::Method;
using platform::PageKind;
using platform::Policy;

TEST_CASE_FIXTURE(Scripted, "a page that was asked of a node is seen there") {
  for (const int node : {0, 1, 2}) {
    CHECK(try_bind(Policy::kPreferred, node) == node);
    CHECK(try_move(node) == node);
  }
  CHECK(try_witness(Method::kMovePages) == 0);
  CHECK_NOTHROW(try_lock());
  CHECK(platform::fake::live_mappings() == 0);
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(Scripted, "a full node's page is seen where it came from") {
  memory().rooms[2].free_bytes = 0;
  CHECK(try_bind(Policy::kPreferred, 2) == 0);
}

TEST_CASE_FIXTURE(Scripted, "a page that is hidden is nowhere rather than somewhere") {
  memory().pages_hidden = true;
  CHECK_FALSE(try_bind(Policy::kPreferred, 1).has_value());
  CHECK_FALSE(try_move(1).has_value());
  CHECK(kind_of([] { return try_witness(Method::kMovePages); }) == ErrorKind::kSystem);
}

TEST_CASE_FIXTURE(Scripted, "a refusal keeps the call's name and its code, and no page") {
  const Failure refused{Cause::kRefused, "mbind", EPERM, "node 1"};
  for (const char* call : {"set_policy", "move_to_node", "node_of_page", "lock"}) {
    memory().failures = {{call, refused}};
    const auto attempt = [&]() -> int {
      const std::string name = call;
      if (name == "set_policy") return try_bind(Policy::kPreferred, 1).value_or(-1);
      if (name == "move_to_node") return try_move(1).value_or(-1);
      if (name == "node_of_page") return try_witness(Method::kNumaMaps);
      try_lock();
      return 0;
    };
    try {
      attempt();
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUnsupported);
      CHECK(error.code() == EPERM);
      CHECK(error.message().starts_with("mbind(node 1): "));
    }
    CHECK(platform::fake::live_mappings() == 0);
  }
  memory().failures = {{"set_policy", {Cause::kInvalid, "mbind", EINVAL, "node 1"}}};
  CHECK(kind_of([] { return try_bind(Policy::kWeightedInterleave, 1); }) == ErrorKind::kSystem);
}

TEST_CASE_FIXTURE(Scripted, "huge pages are told from the base pages that may come instead") {
  constexpr std::size_t kHuge = platform::fake::kHugePage;
  CHECK(try_page({PageKind::kTransparent, kHuge}, true) == kHuge);
  memory().hugetlb = {{kHuge, 4, 1}};
  CHECK(try_page({PageKind::kHugetlb, kHuge}, false) == kHuge);
  CHECK(platform::fake::resident_pages() == 0);
  memory().hugetlb = {{kHuge, 4, 0}};
  CHECK(kind_of([] { return try_page({PageKind::kHugetlb, kHuge}, false); }) ==
        ErrorKind::kNoMemory);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE_FIXTURE(Scripted, "a probe asks for room, and takes no page of many megabytes") {
  const platform::Pages huge{PageKind::kTransparent, std::size_t{512} << 20};
  CHECK(kind_of([&] { return try_page(huge, true); }) == ErrorKind::kInvalidArgument);
  memory().available_bytes = kMiB;  // a cgroup's limit
  const platform::Pages small{PageKind::kTransparent, platform::fake::kHugePage};
  CHECK(kind_of([&] { return try_page(small, true); }) == ErrorKind::kNoMemory);
  CHECK(memory().calls["populate"] == 0);
  memory().available_bytes.reset();
  CHECK(try_page(small, true) == platform::fake::kHugePage);
}

}  // namespace numapool
