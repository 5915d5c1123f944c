// Every bound of a machine in a folder of files, and what is said where one cannot be read.
#include "platform/linux/memory/memory_bounds.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "numapool/limits.hpp"
#include "platform/linux/pressure/watermarks.hpp"
#include "platform/topology.hpp"
#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kMeminfo =
    "MemTotal:       1000 kB\nMemFree:         500 kB\nMemAvailable:    800 kB\n"
    "SwapFree:         0 kB\n";
constexpr const char* kZeroed =
    "MemTotal:       0 kB\nMemFree:         0 kB\nMemAvailable:    0 kB\n";
constexpr const char* kNode =
    "Node 0 MemTotal:  990 kB\nNode 0 MemFree:  400 kB\nNode 0 Active(file):  100 kB\n"
    "Node 0 Inactive(file):  60 kB\nNode 0 Dirty:  10 kB\nNode 0 Writeback:  0 kB\n";
constexpr const char* kMounts = "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n";
constexpr std::uint64_t kKiB = 1024;

struct Tree : TemporaryTree {
  Tree() {
    file("proc/meminfo", kMeminfo).file("proc/self/mountinfo", kMounts);
    file("proc/self/cgroup", "0::/a/b\n").file("cg/cgroup.controllers", "cpu memory hugetlb\n");
    file("sys/devices/system/node/has_memory", "0\n");
    file("sys/devices/system/node/node0/meminfo", kNode);
    folder("cg/a/b");
  }
  void limit(const std::string& folder, const char* file_name, std::uint64_t bytes) {
    file("cg/" + folder + "/" + file_name, std::to_string(bytes) + "\n");
    file("cg/" + folder + "/memory.current", "0\n");
  }
};

std::uint64_t least(MemoryBounds& bounds) {
  return least_bound(bounds.look()).value().bytes.value();
}

std::string unknown_in(const std::vector<Bound>& bounds) {
  std::string all;
  for (const Bound& one : bounds) {
    if (!one.bytes) all += one.limit + " (" + one.unknown + ")\n";
  }
  return all;
}

// How often this thread has read a file; nothing where the kernel does not count that.
std::optional<std::uint64_t> reads_so_far() {
  std::ifstream counts("/proc/thread-self/io");
  std::string key;
  std::uint64_t value = 0;
  while (counts >> key >> value) {
    if (key == "syscr:") return value;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a limit counts at every level, memory.high too") {
  Tree tree;
  MemoryBounds bounds(tree.root());
  CHECK(least(bounds) == 800 * kKiB);
  CHECK(unknown_in(bounds.look()).empty());
  tree.limit("a", "memory.max", 300 * kKiB);  // the own cgroup has no memory controller
  CHECK(least(bounds) == 300 * kKiB);
  tree.limit("a/b", "memory.high", 100 * kKiB);
  CHECK(least(bounds) == 100 * kKiB);
  CHECK(least_bound(bounds.look())->limit == "memory.high of the cgroup /cg/a/b");
}

TEST_CASE("what can be swapped out may pass memory.high, but not memory.max") {
  Tree tree;
  tree.limit("a", "memory.high", 100 * kKiB);
  tree.file("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 800 kB\nSwapFree: 200 kB\n");
  MemoryBounds bounds(tree.root());
  CHECK(least(bounds) == 300 * kKiB);
  tree.file("cg/a/b/memory.swap.max", "65536\n").file("cg/a/b/memory.swap.current", "4096\n");
  CHECK(least(bounds) == 160 * kKiB);
  tree.limit("a", "memory.max", 120 * kKiB);
  CHECK(least(bounds) == 120 * kKiB);
}

TEST_CASE("without a meminfo, or with one of zeros, the nodes tell, and the cgroup still counts") {
  Tree tree;
  MemoryBounds bounds(tree.root());
  for (const char* const text : {"", kZeroed, "MemTotal: 1000 kB\nMemFree: 10 kB\n"}) {
    CAPTURE(text);
    tree.file("proc/meminfo", text);
    CHECK(least(bounds) == 550 * kKiB);
    CHECK(unknown_in(bounds.look()).empty());
  }
  tree.remove("proc/meminfo");
  MemoryBounds without(tree.root());
  CHECK(least(without) == 550 * kKiB);
  tree.limit("a", "memory.max", 100 * kKiB);
  CHECK(least(without) == 100 * kKiB);
  tree.remove("sys");
  MemoryBounds nothing(tree.root());
  CHECK(least(nothing) == 100 * kKiB);
  CHECK(unknown_in(nothing.look()).find("available memory (/proc/meminfo: No such file") !=
        std::string::npos);
  if (has_numa()) CHECK(unknown_in(nothing.look()).find("cpuset") != std::string::npos);
}

TEST_CASE("a look that failed is not remembered") {
  Tree tree;
  tree.limit("a", "memory.max", 100 * kKiB);
  for (const char* const file :
       {"proc/self/mountinfo", "proc/self/cgroup", "cg/cgroup.controllers", "cg/a/memory.max"}) {
    CAPTURE(file);
    MemoryBounds bounds(tree.root());
    const std::string path = tree.root() + "/" + file;
    const std::string aside = path + ".aside";
    // A link in a circle cannot be opened, and is not "no such file" either.
    std::filesystem::rename(path, aside);
    std::filesystem::create_symlink(path, path);
    CHECK(least(bounds) == 800 * kKiB);
    CHECK_FALSE(unknown_in(bounds.look()).empty());
    std::filesystem::remove(path);
    std::filesystem::rename(aside, path);
    CHECK(least(bounds) == 100 * kKiB);
    CHECK(unknown_in(bounds.look()).empty());
  }
}

TEST_CASE("a process that moves to another cgroup is followed") {
  Tree tree;
  tree.limit("a", "memory.max", 100 * kKiB);
  tree.folder("cg/c");
  MemoryBounds bounds(tree.root());
  CHECK(least(bounds) == 100 * kKiB);
  tree.file("proc/self/cgroup", "0::/c\n");
  CHECK(least(bounds) == 800 * kKiB);
  tree.file("proc/self/cgroup", "0::/a\n");
  CHECK(least(bounds) == 100 * kKiB);
}

TEST_CASE("limits on huge pages count at every level") {
  Tree tree;
  MemoryBounds bounds(tree.root());
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  CHECK(bounds.look_hugetlb(kHuge).empty());
  tree.file("cg/a/hugetlb.2MB.max", "4194304\n").file("cg/a/hugetlb.2MB.current", "0\n");
  const auto found = least_bound(bounds.look_hugetlb(kHuge));
  REQUIRE(found);
  CHECK(found->bytes == 2 * kHuge);
  CHECK(found->limit == "hugetlb.2MB.max of the cgroup /cg/a");
  CHECK(bounds.look_hugetlb(std::size_t{1} << 30).empty());
}

TEST_CASE(
    "a node's figures are its own, and the machine's only where the kernel is behind by much") {
  Tree tree;
  MemoryBounds bounds(tree.root());
  CHECK(bounds.room(0).value().free_bytes == 400 * kKiB);  // 990 of 1000 kB: as numactl -H has it
  CHECK(bounds.room(0).value().clean_file_bytes == 150 * kKiB);
  CHECK_FALSE(bounds.room(1));
  tree.file("sys/devices/system/node/node0/meminfo",
            "Node 0 MemTotal:  600 kB\nNode 0 MemFree:  100 kB\n");
  CHECK(bounds.room(0).value().free_bytes == 500 * kKiB);
  // The same everywhere: what watches for pressure, and what is asked of one node.
  const auto supply = NodeSupplies(tree.root()).look(1);
  REQUIRE(supply.size() == 1);
  CHECK(supply.front().supply.total_bytes == 1000 * kKiB);
  CHECK(supply.front().free_bytes == 500 * kKiB);
  CHECK(free_memory_bytes(tree.root(), 0).value() == 500 * kKiB);
  CHECK(read_topology(tree.root()).value().nodes.front().total_memory_bytes == 1000 * kKiB);
  tree.file("sys/devices/system/node/has_memory", "0-1\n");
  CHECK(bounds.room(0).value().free_bytes == 100 * kKiB);
}

TEST_CASE("after a look, a node with the machine's memory is asked by one read") {
  Tree tree;
  MemoryBounds bounds(tree.root());
  CHECK(bounds.room(0).value().free_bytes == 400 * kKiB);  // opens the files
  CHECK_FALSE(bounds.look().empty());
  const auto before = reads_so_far();
  const auto again = reads_so_far();
  CHECK(bounds.room(0).value().free_bytes == 400 * kKiB);
  const auto after = reads_so_far();
  if (!before) return;
  CHECK(*after - *again == *again - *before + 1);
}

}  // namespace numapool::platform
