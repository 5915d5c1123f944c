// Size classes: whole pages, four per power of two, ascending, and at most a quarter too large.
#include "pool/size_class.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

namespace numapool {

TEST_CASE("every class is the class of its own size, and larger than the one before") {
  for (const std::size_t unit : {std::size_t{4096}, std::size_t{65536}, std::size_t{2} << 20}) {
    const SizeClasses classes(unit);
    for (std::size_t c = 0; c < SizeClasses::kCount; ++c) {
      CHECK(classes.of(classes.bytes(c)) == c);
      CHECK(classes.of(classes.bytes(c) + 1) == c + 1);
      CHECK(classes.bytes(c) % unit == 0);
      if (c > 0) CHECK(classes.bytes(c) > classes.bytes(c - 1));
      if (c > 4) CHECK(classes.bytes(c) * 4 <= classes.bytes(c - 1) * 5);
    }
  }
}

TEST_CASE("known classes") {
  const SizeClasses classes(4096);
  CHECK(classes.of(1) == 0);
  CHECK(classes.bytes(classes.of(4097)) == 8192);
  CHECK(classes.bytes(classes.of(36864)) == 40960);
  CHECK(classes.bytes(classes.of(1 << 20)) == 1 << 20);
  CHECK(classes.bytes(classes.of((1 << 20) + 1)) == 1280 << 10);
  CHECK(classes.of(SIZE_MAX) >= SizeClasses::kCount);
}

}  // namespace numapool
