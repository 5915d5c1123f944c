// Size classes: whole pages, ascending, and no larger than they have to be.
#include "pool/size_class.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <random>

namespace numapool {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Unit {
  std::size_t bytes;
  bool huge_pages;
};
constexpr Unit kUnits[] = {{4096, false},     {16384, false},     {65536, false},
                           {65536, true},     {2 * kMiB, true},   {16 * kMiB, true},
                           {32 * kMiB, true}, {512 * kMiB, true}, {1024 * kMiB, true}};

// What a block may be larger than what was asked for.
std::size_t most_waste(std::size_t size, const Unit& unit) {
  if (unit.huge_pages) return std::max(size / 16, unit.bytes - 1);
  return size > kMiB ? size / 16 : std::max(size / 4, unit.bytes - 1);
}

void check_size(std::size_t size, const Unit& unit, const SizeClasses& classes) {
  const std::size_t c = classes.of(size);
  REQUIRE(c < SizeClasses::kCount);
  REQUIRE(classes.bytes(c) >= size);
  REQUIRE(classes.bytes(c) - size <= most_waste(size, unit));
  REQUIRE((c == 0 || classes.bytes(c - 1) < size));
  const std::size_t last = classes.last_for(c);
  REQUIRE(last >= c);
  if (last != c) REQUIRE(classes.bytes(last) - size <= size / 4);
}

}  // namespace

TEST_CASE("every class is the class of its own size, and larger than the one before") {
  for (const Unit& unit : kUnits) {
    const SizeClasses classes(unit.bytes, unit.huge_pages);
    std::size_t c = 0;
    for (; classes.bytes(c) < SizeClasses::kLargestBytes; ++c) {
      REQUIRE(classes.of(classes.bytes(c)) == c);
      REQUIRE(classes.of(classes.bytes(c) + 1) == c + 1);
      REQUIRE(classes.bytes(c) % unit.bytes == 0);
      REQUIRE(classes.bytes(c + 1) > classes.bytes(c));
    }
    CHECK(c < SizeClasses::kCount);
    CHECK(classes.bytes(c) == SizeClasses::kLargestBytes);
    // Slabs are kept by class, for blocks of this size at most.
    if (!unit.huge_pages) CHECK(classes.of(kMiB) < SizeClasses::kMostCoarse);
  }
  CHECK(SizeClasses(4096).of(SizeClasses::kLargestBytes) == SizeClasses::kCount - 1);
}

TEST_CASE("a block holds what was asked for, and a sixteenth more at most from 1 MiB up") {
  std::mt19937_64 random(20);
  for (const Unit& unit : kUnits) {
    const SizeClasses classes(unit.bytes, unit.huge_pages);
    for (std::size_t c = 0; classes.bytes(c) < SizeClasses::kLargestBytes; ++c) {
      for (const std::size_t size : {classes.bytes(c), classes.bytes(c) + 1})
        check_size(size, unit, classes);
    }
    for (int i = 0; i < 20000; ++i) {
      const std::size_t most = SizeClasses::kLargestBytes >> random() % 46;
      check_size(1 + random() % most, unit, classes);
    }
  }
}

TEST_CASE("classes ascend with the size") {
  std::mt19937_64 random(21);
  for (const Unit& unit : kUnits) {
    const SizeClasses classes(unit.bytes, unit.huge_pages);
    for (int i = 0; i < 20000; ++i) {
      const std::size_t most = SizeClasses::kLargestBytes >> random() % 46;
      const std::size_t a = 1 + random() % most;
      const std::size_t b = 1 + random() % most;
      REQUIRE(classes.of(std::min(a, b)) <= classes.of(std::max(a, b)));
    }
  }
}

TEST_CASE("known classes") {
  const SizeClasses classes(4096);
  CHECK(classes.of(1) == 0);
  CHECK(classes.bytes(classes.of(4097)) == 8192);
  CHECK(classes.bytes(classes.of(36864)) == 40960);
  CHECK(classes.bytes(classes.of(kMiB)) == kMiB);
  CHECK(classes.bytes(classes.of(kMiB + 1)) == kMiB + (64 << 10));
  CHECK(classes.bytes(classes.of(32 * kMiB + 300)) == 34 * kMiB);
  CHECK(classes.of(SIZE_MAX) >= SizeClasses::kCount);
  const SizeClasses huge(2 * kMiB, true);
  CHECK(huge.bytes(huge.of(1)) == 2 * kMiB);
  CHECK(huge.bytes(huge.of(30 * kMiB + 1)) == 32 * kMiB);
  CHECK(huge.bytes(huge.of(32 * kMiB + 300)) == 34 * kMiB);
  CHECK(huge.bytes(huge.of(64 * kMiB + 300)) == 68 * kMiB);
}

TEST_CASE("idle blocks of the three next classes may serve, where blocks are large") {
  const SizeClasses classes(4096);
  CHECK(classes.last_for(classes.of(kMiB)) == classes.of(kMiB));
  CHECK(classes.bytes(classes.last_for(classes.of(32 * kMiB + 1))) == 40 * kMiB);
  CHECK(classes.last_for(SizeClasses::kCount - 1) == SizeClasses::kCount - 1);
  const SizeClasses huge(2 * kMiB, true);
  CHECK(huge.last_for(huge.of(32 * kMiB)) == huge.of(32 * kMiB));
  CHECK(huge.bytes(huge.last_for(huge.of(34 * kMiB))) == 40 * kMiB);
}

}  // namespace numapool
