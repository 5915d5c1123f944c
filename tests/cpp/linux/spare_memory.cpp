// Free memory above the kernel's reserve, from texts of /proc/zoneinfo.
#include "platform/linux/memory/spare_memory.hpp"

#include <doctest/doctest.h>

namespace numapool::platform {

constexpr const char* kZones =
    "Node 0, zone      DMA\n"
    "  pages free     3840\n        boost    0\n        min      67\n        low      83\n"
    "        high     99\n        managed  3840\n        protection: (0, 2983, 7959)\n"
    "  pagesets\n    cpu: 0\n              count: 0\n              high:  14\n"
    "Node 0, zone   Normal\n"
    "  pages free     5000\n        min      1600\n        low      2000\n        high     3000\n"
    "        managed  90000\n        protection: (0, 0, 0)\n"
    "Node 1, zone   Normal\n"
    "  pages free     1500\n        min      1600\n        low      2000\n        high     3000\n"
    "        managed  90000\n        protection: (0, 0, 0)\n";

TEST_CASE("what is above the low watermark and the protection may be taken") {
  CHECK(parse_spare_pages(kZones, 0) == 3000);  // nothing of the zone that keeps all for itself
  CHECK(parse_spare_pages(kZones, 1) == 0);
  CHECK_FALSE(parse_spare_pages(kZones, 2));
  CHECK_FALSE(parse_spare_pages("", 0));
}

}  // namespace numapool::platform
