// The two switches of transparent huge pages, as kernels before and after Linux 6.8 have them.
#include "platform/linux/memory/transparent_switch.hpp"

#include <doctest/doctest.h>

namespace numapool::platform {

TEST_CASE("without a switch of its own a size follows the one for all") {
  CHECK(transparent_switch("always [madvise] never\n", "").mode == "madvise");
  CHECK(transparent_switch("always [madvise] never\n", "").on());
  CHECK(transparent_switch("[always] madvise never\n", "").on());
  CHECK_FALSE(transparent_switch("always madvise [never]\n", "").on());
  CHECK_FALSE(transparent_switch("", "").on());
  CHECK_FALSE(transparent_switch("]always[", "").on());
}

TEST_CASE("the switch of a size wins unless it says inherit") {
  const char* const inherit = "always [inherit] madvise never\n";
  CHECK(transparent_switch("[always] madvise never\n", inherit).on());
  CHECK_FALSE(transparent_switch("always madvise [never]\n", inherit).on());
  CHECK_FALSE(transparent_switch("always madvise [never]\n", inherit).of_size);
  const char* const never = "always inherit madvise [never]\n";
  CHECK_FALSE(transparent_switch("[always] madvise never\n", never).on());
  CHECK(transparent_switch("[always] madvise never\n", never).of_size);
  const char* const none = "always madvise [never]\n";
  CHECK(transparent_switch(none, "[always] inherit madvise never\n").on());
  CHECK(transparent_switch(none, "always inherit [madvise] never\n").mode == "madvise");
}

}  // namespace numapool::platform
