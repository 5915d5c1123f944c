// Sizes of meminfo files, and what must not be taken for one.
#include "platform/linux/files/file_values.hpp"

#include <doctest/doctest.h>

namespace numapool::platform {

TEST_CASE("sizes of the machine's and of a node's meminfo") {
  CHECK(meminfo_bytes("MemTotal:       24684092 kB\nMemFree: 1 kB\n", "MemTotal:") ==
        std::uint64_t{24684092} * 1024);
  CHECK(meminfo_bytes("Node 12 MemTotal: 3 kB\nNode 12 MemFree:  2 kB", "MemFree:") == 2048);
  CHECK(meminfo_bytes("Node 1 MemTotal: 0 kB", "MemTotal:") == 0);
}

TEST_CASE("a key inside another word is not the key") {
  CHECK_FALSE(meminfo_bytes("HugeMemFree: 1 kB", "MemFree:"));
  CHECK(meminfo_bytes("HugeMemFree: 1 kB\nMemFree: 2 kB", "MemFree:") == 2048);
}

TEST_CASE("texts without such a size") {
  for (const char* const text :
       {"", "MemTotal:", "MemTotal: kB", "MemTotal: x kB", "MemTotal: -1 kB", "MemTotal: 1",
        "MemTotal: 1 MB", "MemTotal: 1x kB", "MemTotal: 99999999999999999999 kB",
        "MemTotal: 18014398509481984 kB"}) {  // 2^54 kB is 2^64 bytes
    CAPTURE(text);
    CHECK_FALSE(meminfo_bytes(text, "MemTotal:"));
  }
  CHECK(meminfo_bytes("MemTotal: 18014398509481983 kB", "MemTotal:") == ~std::uint64_t{1023});
}

}  // namespace numapool::platform
