// Where a controller has this process, from texts that a kernel writes and such that none does; and
// the limits there.
#include "platform/linux/memory/cgroup.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/kept_file.hpp"
#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* kV1 =
    "33 23 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

CgroupSearch search(std::string_view cgroup, std::string_view mounts, Has has = Has::kYes) {
  return find_cgroup(cgroup, mounts, "memory", [has](const std::string&) { return has; });
}

std::optional<CgroupPlace> place(std::string_view cgroup, std::string_view mounts) {
  return search(cgroup, mounts).place;
}

bool is_unknown(const CgroupSearch& found) { return !found.place && !found.unknown.empty(); }

}  // namespace

TEST_CASE("a cgroup of version 2, and of version 1 in a container") {
  CHECK(place("0::/user.slice/a.scope\n", kV2) ==
        CgroupPlace{"/sys/fs/cgroup", "/user.slice/a.scope", 2});
  CHECK(place("9:memory:/docker/abc/x\n", kV1) == CgroupPlace{"/sys/fs/cgroup/memory", "/x", 1});
  CHECK(place("9:memory:/docker/abc\n", kV1) == CgroupPlace{"/sys/fs/cgroup/memory", "/", 1});
}

TEST_CASE("no cgroup is not the same as one that is not known") {
  CHECK(search("", kV2).unknown.empty());
  CHECK(search("0::/a\n", kV2, Has::kNo).unknown.empty());  // the controller is in neither version
  CHECK(is_unknown(search("0::/\n", "")));
  CHECK(is_unknown(search("9:memory:/a\n", kV2)));
  CHECK(is_unknown(search("9:memory:/docker/abcd\n", kV1)));
  const CgroupSearch unread = search("0::/a\n", kV2, Has::kUnknown);
  CHECK(is_unknown(unread));
  CHECK(unread.failed);
}

TEST_CASE("a path that is not below the mount is unknown") {
  for (const char* const path :
       {"0::\n", "0::a/b\n", "0::/../..\n", "0::/a/../../b\n", "0::..\n"}) {
    CAPTURE(path);
    CHECK(is_unknown(search(path, kV2)));
  }
}

TEST_CASE("a mount point with a blank, a backslash and a newline") {
  const std::string mounts = "33 23 0:29 / /cg\\040a\\134b\\012c rw - cgroup cgroup rw,memory\n";
  CHECK(place("9:memory:/x\n", mounts) == CgroupPlace{"/cg a\\b\nc", "/x", 1});
}

TEST_CASE("a name with two dots is a name") {
  CHECK(place("0::/..a/b..\n", kV2) == CgroupPlace{"/sys/fs/cgroup", "/..a/b..", 2});
}

TEST_CASE("a mount that another hides is not joined") {
  // The bind mount of a part of the hierarchy over its own mount point.
  const std::string covered =
      "33 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "50 33 0:29 /job /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  CHECK(place("9:memory:/job/x\n", covered) == CgroupPlace{"/sys/fs/cgroup/memory", "/x", 1});
  CHECK(is_unknown(search("9:memory:/other\n", covered)));
  // A mount over a folder above it hides it as well.
  const std::string buried =
      "23 1 0:22 / / rw - ext4 /dev/sda rw\n"
      "33 23 0:29 / /mnt/memory rw - cgroup cgroup rw,memory\n"
      "50 23 0:30 / /mnt rw - tmpfs tmpfs rw\n";
  CHECK(is_unknown(search("9:memory:/job\n", buried)));
}

TEST_CASE("of several mounts, one whose root is above the cgroup, and that shows the most") {
  const std::string mounts =
      "33 23 0:29 /elsewhere /a rw - cgroup cgroup rw,memory\n"
      "34 23 0:29 /job /b rw - cgroup cgroup rw,memory\n"
      "35 23 0:29 / /c rw - cgroup cgroup rw,memory\n"
      "36 23 0:29 /jobs /d rw - cgroup cgroup rw,memory\n"
      "37 23 0:30 / /e rw - cgroup cgroup rw,cpu\n";
  CHECK(place("9:memory:/job/x\n", mounts) == CgroupPlace{"/c", "/job/x", 1});
}

TEST_CASE("cgroup namespaces") {
  // What is outside of the namespace starts with "/..".
  const std::string old = "30 23 0:26 /../.. /old rw - cgroup2 cgroup2 rw\n";
  const std::string own = "31 23 0:26 / /own rw - cgroup2 cgroup2 rw\n";
  const std::string sibling = "32 23 0:26 /../sibling /sibling rw - cgroup2 cgroup2 rw\n";
  CHECK(place("0::/x\n", old + own) == CgroupPlace{"/own", "/x", 2});
  CHECK(place("0::/x\n", own + old + sibling) == CgroupPlace{"/own", "/x", 2});
  CHECK(place("0::/../sibling/y\n", own + sibling) == CgroupPlace{"/sibling", "/y", 2});
  CHECK(place("0::/../../z\n", old) == CgroupPlace{"/old", "/z", 2});
  // Above this cgroup, but the folders on the way have no name here: its own limits still count.
  const CgroupSearch above = search("0::/x\n", old);
  CHECK(above.place == CgroupPlace{"/old", "/", 2});
  CHECK_FALSE(above.unknown.empty());
  CHECK(is_unknown(search("0::/x\n", sibling)));
}

TEST_CASE("the levels go up to the mount") {
  const auto levels = levels_of(place("0::/a/b\n", kV2).value());
  REQUIRE(levels.size() == 3);
  CHECK(levels[0].folder() == "/sys/fs/cgroup/a/b");
  CHECK(levels[2].folder() == "/sys/fs/cgroup");
}

TEST_CASE("a level's limits, and what is needed of them") {
  TemporaryTree tree;
  tree.file("a/memory.max", "max\n").file("a/memory.high", "1000\n");
  tree.file("a/memory.current", "900\n");
  tree.file("a/memory.stat", "anon 5\nactive_file 100\ninactive_file 50\nfile_dirty 30\n");
  CgroupLevel level("/a", 2, tree.root());
  const CgroupUse use = level.look();
  CHECK_FALSE(use.max_bytes);
  CHECK(use.high_bytes == 1000);
  CHECK(use.needed_bytes() == 750);
  CHECK(use.unclean_bytes == 30);
  CHECK(use.unreadable.empty());
  // The root has no limit files, nor has a cgroup whose controller is off.
  CHECK(CgroupLevel("", 2, tree.root()).look().unreadable.empty());
  // A folder that is not there says nothing.
  CHECK(CgroupLevel("/b", 2, tree.root()).look().unreadable.find("No such file") !=
        std::string::npos);
}

TEST_CASE("limits on huge pages, in use and reserved") {
  CHECK(hugetlb_size_name(std::size_t{2} << 20) == "2MB");
  CHECK(hugetlb_size_name(std::size_t{1} << 30) == "1GB");
  CHECK(hugetlb_size_name(std::size_t{64} << 10) == "64KB");
  TemporaryTree tree;
  tree.file("a/hugetlb.2MB.max", "max\n").file("a/hugetlb.2MB.current", "2097152\n");
  HugetlbLevel level("/a", 2, std::size_t{2} << 20, tree.root());
  CHECK_FALSE(level.look().bytes);
  tree.file("a/hugetlb.2MB.max", "8388608\n");
  CHECK(level.look().bytes == 6291456);
  // Mapped and not touched yet: promised all the same.
  tree.file("a/hugetlb.2MB.rsvd.max", "max\n").file("a/hugetlb.2MB.rsvd.current", "4194304\n");
  CHECK(level.look().bytes == 4194304);
  CHECK(level.look().limit_file == "hugetlb.2MB.max");
  tree.file("a/hugetlb.2MB.rsvd.max", "4194304\n");
  CHECK(level.look().bytes == 0);
  CHECK(level.look().limit_file == "hugetlb.2MB.rsvd.max");
  tree.file("a/hugetlb.2MB.limit_in_bytes", "6291456\n");
  tree.file("a/hugetlb.2MB.usage_in_bytes", "2097152\n");
  CHECK(HugetlbLevel("/a", 1, std::size_t{2} << 20, tree.root()).look().bytes == 4194304);
}

TEST_CASE("a mountinfo of more than a megabyte is read to its end") {
  std::string mounts;
  for (int i = 100; mounts.size() < (std::size_t{2} << 20); ++i) {
    mounts += std::to_string(i) + " 23 0:40 / /run/" + std::string(200, 'x') + std::to_string(i) +
              " rw - tmpfs tmpfs rw\n";
  }
  TemporaryTree tree;
  tree.file("proc/self/mountinfo", mounts + kV2).file("proc/self/cgroup", "0::/a\n");
  tree.file("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  CHECK(find_cgroup(tree.root(), "memory").place == CgroupPlace{"/sys/fs/cgroup", "/a", 2});
  CHECK(find_cgroup(tree.root(), "").place == CgroupPlace{"/sys/fs/cgroup", "/a", 2});
  const Folder root = Folder::open(tree.root());
  const auto whole = root.read_whole("proc/self/mountinfo");
  REQUIRE(whole);
  CHECK(whole->size() == mounts.size() + std::string_view(kV2).size());
  CHECK_FALSE(root.read_whole("proc/self/missing"));
}

TEST_CASE("a kept file of more than a few pages is read to its end") {
  TemporaryTree tree;
  const std::string text = std::string(100'000, 'x') + " end";
  tree.file("long", text).file("endless", std::string(kLargestFile + 1, 'x'));
  KeptFile file(tree.root() + "/long");
  for (int i = 0; i < 2; ++i) CHECK(file.read() == std::string_view(text));
  tree.file("long", "short");
  CHECK(file.read() == std::string_view("short"));
  KeptFile endless(tree.root() + "/endless");
  CHECK_FALSE(endless.read());
  CHECK(endless.error() == EFBIG);
}

}  // namespace numapool::platform
