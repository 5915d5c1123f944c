// Where the memory controller of a process is, from texts that a kernel writes and such that none
// does.
#include "platform/linux/cgroup.hpp"

#include <doctest/doctest.h>

namespace numapool::platform {
namespace {

constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* kV1 =
    "33 23 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

std::optional<CgroupPlace> place(const char* cgroup, const char* mounts) {
  return find_memory_cgroup(cgroup, mounts, [](const std::string&) { return true; });
}

}  // namespace

TEST_CASE("a cgroup of version 2, and of version 1 in a container") {
  CHECK(place("0::/user.slice/a.scope\n", kV2) ==
        CgroupPlace{"/sys/fs/cgroup", "/user.slice/a.scope", 2});
  CHECK(place("9:memory:/docker/abc/x\n", kV1) == CgroupPlace{"/sys/fs/cgroup/memory", "/x", 1});
  CHECK_FALSE(place("", kV2));
  CHECK_FALSE(place("0::/\n", ""));
}

TEST_CASE("a path that is none below the mount is the mount") {
  for (const char* const path :
       {"0::\n", "0::a/b\n", "0::/../..\n", "0::/a/../../b\n", "0::..\n"}) {
    CAPTURE(path);
    const auto found = place(path, kV2);
    REQUIRE(found);
    CHECK(found->path == "/");
    CHECK(levels_of(*found).size() == 1);
  }
}

TEST_CASE("the levels go up to the mount") {
  const auto levels = levels_of(place("0::/a/b\n", kV2).value());
  REQUIRE(levels.size() == 3);
  CHECK(levels[0].folder() == "/sys/fs/cgroup/a/b");
  CHECK(levels[2].folder() == "/sys/fs/cgroup");
}

}  // namespace numapool::platform
