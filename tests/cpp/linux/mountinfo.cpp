// Lines of mountinfo, whole and broken, and which mount a path is on.
#include "platform/linux/files/mountinfo.hpp"

#include <doctest/doctest.h>

#include <string>

namespace numapool::platform {
namespace {

constexpr const char* kMounts =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
    "30 22 0:40 /@ /data rw shared:2 master:9 propagate_from:2 - btrfs /dev/sdb rw,ssd\n"
    "31 32 0:41 / /data/in\\040side rw - tmpfs tmpfs rw,mpol=prefer (many):1\n"
    "32 30 259:3 / /data rw - xfs /dev/nvme0n1p3 rw\n"
    "33 22 0:50 / /database rw - zfs tank rw";

}  // namespace

TEST_CASE("the fields of a line, with and without optional ones") {
  const auto mount = mount_of_id(kMounts, 30);
  REQUIRE(mount);
  CHECK(mount->major == 0);
  CHECK(mount->minor == 40);
  CHECK(mount->root == "/@");
  CHECK(mount->point == "/data");
  CHECK(mount->type == "btrfs");
  CHECK(mount->source == "/dev/sdb");
  CHECK(mount->options == "rw,ssd");
  CHECK(mount_of_id(kMounts, 31)->point == "/data/in side");
  CHECK(mount_of_id(kMounts, 31)->options == "rw,mpol=prefer (many):1");
  CHECK(mount_of_id(kMounts, 33)->source == "tank");
  CHECK_FALSE(mount_of_id(kMounts, 3));
  CHECK_FALSE(mount_of_id("", 22));
}

TEST_CASE("a path is on the longest mount above it, and of two on one point on the later") {
  CHECK(mount_of_path(kMounts, "/")->id == 22);
  CHECK(mount_of_path(kMounts, "/etc/passwd")->id == 22);
  CHECK(mount_of_path(kMounts, "/data")->id == 32);
  CHECK(mount_of_path(kMounts, "/data/x")->id == 32);
  CHECK(mount_of_path(kMounts, "/data/in side/y")->id == 31);
  CHECK(mount_of_path(kMounts, "/database")->id == 33);
  CHECK(mount_of_path(kMounts, "/dat")->id == 22);
  CHECK_FALSE(mount_of_path("22 1 8:1 / /x rw - ext4 a b\n", "/y"));
}

TEST_CASE(
    "a mount over a folder hides the mounts below it, and one that was moved keeps its place") {
  const std::string covered =
      "22 1 8:1 / / rw - ext4 a rw\n"
      "30 22 0:40 / /a/b rw - tmpfs inner rw\n"
      "31 22 0:41 / /a rw - tmpfs outer rw\n";
  CHECK(mount_of_path(covered, "/a/b/c")->id == 31);
  // The upper mount's line comes first where it was mounted first and moved there later.
  const std::string moved =
      "22 1 8:1 / / rw - ext4 a rw\n"
      "40 41 0:40 / /a rw - tmpfs upper rw\n"
      "41 22 0:41 / /a rw - tmpfs lower rw\n";
  CHECK(mount_of_path(moved, "/a/x")->id == 40);
  // In a circle of parents the walk ends.
  CHECK_FALSE(mount_of_path("1 2 8:1 / / rw - a a rw\n2 1 8:1 / / rw - a a rw\n", "/"));
}

TEST_CASE("lines that make no sense are passed over") {
  for (const char* const line :
       {"22", "22 1", "22 1 8 / / rw - ext4 a b", "22 1 8:x / / rw - ext4 a b",
        "22 1 99999999999:1 / / rw - ext4 a b", "22 1 8:1 / / rw", "22 1 8:1 / / rw -",
        "22 1 8:1 / / rw ext4 /dev/sda1 rw", "x 1 8:1 / / rw - ext4 a b", " ", "\n\n"}) {
    CAPTURE(line);
    CHECK_FALSE(mount_of_id(line, 22));
    CHECK_FALSE(mount_of_path(line, "/"));
  }
}

TEST_CASE("options by their whole name, escaped characters, and what is below a folder") {
  CHECK(mount_option("rw,addr=10.0.0.1,clientaddr=10.0.0.2", "addr") == "10.0.0.1");
  CHECK(mount_option("rw,clientaddr=10.0.0.2", "addr") == std::nullopt);
  CHECK(mount_option("rw,ssd", "ssd") == "");
  CHECK(mount_option("", "ssd") == std::nullopt);
  CHECK(unescaped("a\\040b\\134\\011") == "a b\\\t");
  CHECK(unescaped("\\04") == "\\04");
  CHECK(unescaped("\\\\040") == "\\ ");
  CHECK(unescaped("a\\") == "a\\");
  CHECK(below("/a/b", "/a") == "/b");
  CHECK(below("/a", "/a") == "");
  CHECK(below("/ab", "/a") == std::nullopt);
  CHECK(below("/ab", "/") == "/ab");
  CHECK(below("/", "/") == "");
}

}  // namespace numapool::platform
