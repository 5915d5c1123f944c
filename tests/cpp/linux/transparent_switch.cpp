// The two switches of transparent huge pages, as kernels before and after Linux 6.8 have them.
#include "platform/linux/memory/transparent_switch.hpp"

#include <doctest/doctest.h>

namespace numapool::platform {

TEST_CASE("without a switch of its own a size follows the one for all") {
  CHECK(transparent_switch("always [madvise] never\n", "") == TransparentSwitch::kOn);
  CHECK(transparent_switch("[always] madvise never\n", "") == TransparentSwitch::kOn);
  CHECK(transparent_switch("always madvise [never]\n", "") == TransparentSwitch::kOff);
  CHECK(transparent_switch("", "") == TransparentSwitch::kOff);
}

TEST_CASE("the switch of a size wins unless it says inherit") {
  const char* const inherit = "always [inherit] madvise never\n";
  CHECK(transparent_switch("[always] madvise never\n", inherit) == TransparentSwitch::kOn);
  CHECK(transparent_switch("always madvise [never]\n", inherit) == TransparentSwitch::kOff);
  CHECK(transparent_switch("[always] madvise never\n", "always inherit madvise [never]\n") ==
        TransparentSwitch::kOffForSize);
  CHECK(transparent_switch("always madvise [never]\n", "[always] inherit madvise never\n") ==
        TransparentSwitch::kOn);
  CHECK(transparent_switch("always madvise [never]\n", "always inherit [madvise] never\n") ==
        TransparentSwitch::kOn);
}

}  // namespace numapool::platform
