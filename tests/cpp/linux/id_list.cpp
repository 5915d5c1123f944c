// The kernel's lists and masks of ids, and what only looks like one.
#include "platform/linux/files/id_list.hpp"

#include <doctest/doctest.h>

#include <string>

namespace numapool::platform {
namespace {

using Ids = std::vector<int>;

}  // namespace

TEST_CASE("lists") {
  CHECK(parse_id_list("0") == Ids{0});
  CHECK(parse_id_list("0-3,8\n") == Ids{0, 1, 2, 3, 8});
  CHECK(parse_id_list("1023") == Ids{1023});
  CHECK(parse_id_list("") == Ids{});
  CHECK(parse_id_list("\n") == Ids{});
  CHECK(parse_id_list(std::string_view("0-1\n\0", 5)) == Ids{0, 1});
  CHECK(parse_id_list(std::string_view("\0\0", 2)) == Ids{});
}

TEST_CASE("lists that repeat or go backwards are sets all the same") {
  CHECK(parse_id_list("8,0-3") == Ids{0, 1, 2, 3, 8});
  CHECK(parse_id_list("0-5,2-3,1,5-6") == Ids{0, 1, 2, 3, 4, 5, 6});
  CHECK(parse_id_list("7,7,7") == Ids{7});
}

TEST_CASE("strides, as the kernel reads them") {
  CHECK(parse_id_list("8-11:1/2") == Ids{8, 10});
  CHECK(parse_id_list("0-9:2/4\n") == Ids{0, 1, 4, 5, 8, 9});
  CHECK(parse_id_list("0-8:3/4") == Ids{0, 1, 2, 4, 5, 6, 8});
  CHECK(parse_id_list("0-3:4/4,3-6:1/3") == Ids{0, 1, 2, 3, 6});
  CHECK(parse_id_list("0-3:0/2,9") == Ids{9});
  CHECK(parse_id_list("5-6:1/9") == Ids{5});
  CHECK(parse_id_list("0-65535:1/2")->size() == 32768);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "0-65535:1/2,";
  CHECK_FALSE(parse_id_list(text + "1"));  // at once: time and memory have a bound
}

TEST_CASE("texts that are no lists") {
  for (const char* const text :
       {"x",         "0-",       "-3",      "0--3",         "3-1",
        "0,,1",      ",0",       "0,",      "0 1",          "0-3:2",
        "0-3:1/0",   "0-3:3/2",  "0-3:1/",  "0-3:/2",       "3:1/2",
        "0-3:1/2/2", "0-3:-1/2", "0x3",     "+1",           "1.5",
        "0-1-2",     "65536",    "0-65536", "0-4294967295", "99999999999999999999",
        "0\n1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_id_list(text));
  }
}

TEST_CASE("a list is bounded by the largest id, however often it repeats itself") {
  CHECK(parse_id_list("0-65535")->size() == 65536);
  CHECK_FALSE(parse_id_list("0-1024", kLargestNodeId));
  CHECK(parse_id_list("0-1023", kLargestNodeId)->size() == 1024);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "0-65535,";
  CHECK(parse_id_list(text + "1")->size() == 65536);  // at once, and in little memory
}

TEST_CASE("masks") {
  CHECK(parse_id_mask("1") == Ids{0});
  CHECK(parse_id_mask("0000010f\n") == Ids{0, 1, 2, 3, 8});
  CHECK(parse_id_mask("80000000,00000001") == Ids{0, 63});
  CHECK(parse_id_mask("00000000,00000000") == Ids{});
  CHECK(parse_id_mask("\n") == Ids{});
  CHECK(parse_id_mask(std::string_view("3\n\0", 3)) == Ids{0, 1});
}

TEST_CASE("texts that are no masks") {
  for (const char* const text :
       {"x", "0x1", "-1", "f,,f", ",f", "f,", "123456789", "f f", "f-f", "1,00000000g"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_id_mask(text));
  }
}

TEST_CASE("a mask ends at the largest id") {
  std::string zeros;
  for (int group = 0; group < 2047; ++group) zeros += ",00000000";
  CHECK(parse_id_mask("80000000" + zeros) == Ids{65535});
  CHECK_FALSE(parse_id_mask("1,00000000" + zeros));
  CHECK(parse_id_mask("0,00000001" + zeros) == Ids{65504});
}

}  // namespace numapool::platform
