// What pages mappings have, read from texts of smaps.
#include "platform/linux/memory/smaps.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kText =
    "10000-20000 rw-p 00000000 00:00 0 \n"
    "Size:                 64 kB\n"
    "KernelPageSize:        4 kB\n"
    "AnonHugePages:         0 kB\n"
    "VmFlags: rd wr mr mw me ac \n"
    "200000-600000 rw-p 00000000 00:00 0                          [heap]\n"
    "KernelPageSize:        4 kB\n"
    "AnonHugePages:      2048 kB\n"
    "ShmemPmdMapped:     2048 kB\n"
    "40000000-80000000 rw-s 00000000 00:0f 12 /dev/hugepages/one (deleted)\n"
    "KernelPageSize:  1048576 kB\n"
    "AnonHugePages:         0 kB\n"
    "80000000-80001000 r--p 00000000 00:00 0 \n"
    "KernelPageSize:        4 kB\n";

TEST_CASE("mappings are told with the size of their pages") {
  TemporaryTree tree;
  tree.file("smaps", kText);
  const auto told = [&](std::uintptr_t begin, std::uintptr_t end) {
    std::vector<MappingPages> out;
    CHECK(each_mapping(
        begin, end, [&](const MappingPages& one) { out.push_back(one); }, tree.root() + "/smaps"));
    return out;
  };
  const auto all = told(0, UINTPTR_MAX);
  REQUIRE(all.size() == 4);
  CHECK(all[1].transparent_bytes == std::uint64_t{4} << 20);
  CHECK(all[2].page_bytes == std::size_t{1} << 30);
  CHECK(all[2].transparent_bytes == 0);
  const auto some = told(0x300000, 0x40000001);
  REQUIRE(some.size() == 2);
  CHECK(some[0].begin == 0x200000);
  CHECK(some[1].begin == 0x40000000);
  CHECK(told(0x20000, 0x200000).empty());
  CHECK_FALSE(each_mapping(0, 1, [](const MappingPages&) {}, tree.root() + "/missing"));
}

}  // namespace
}  // namespace numapool::platform
