// Where the system is unknown, no file is opened.
#include "numapool/storage.hpp"

#include <doctest/doctest.h>

namespace numapool {

TEST_CASE("a file cannot be opened, and it says why") {
  const auto opened = File::open("/", {}, [] {});
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.failure().cause == platform::Cause::kUnsupported);
}

}  // namespace numapool
