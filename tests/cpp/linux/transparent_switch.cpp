// The two switches of transparent huge pages, as kernels before and after Linux 6.8 have them.
#include "platform/linux/memory/transparent_switch.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "platform/huge_pages.hpp"
#include "temporary_tree.hpp"

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

TEST_CASE("each size with a switch of its own, and the one that is used") {
  const std::string folder = "sys/kernel/mm/transparent_hugepage/";
  TemporaryTree tree;
  tree.file(folder + "enabled", "always [madvise] never\n")
      .file(folder + "hpage_pmd_size", "536870912\n")
      .file(folder + "hugepages-524288kB/enabled", "always [inherit] madvise never\n")
      .file(folder + "hugepages-2048kB/enabled", "[always] inherit madvise never\n")
      .file(folder + "hugepages-128kB/enabled", "always inherit madvise [never]\n")
      .file(folder + "hugepages-64kB/shmem_enabled", "always inherit [never]\n");
  const std::vector<TransparentState> states = transparent_states(tree.root());
  REQUIRE(states.size() == 3);
  CHECK(states[0].page_bytes == 128 << 10);
  CHECK(states[0].mode == "never");
  CHECK_FALSE(states[0].chosen);
  CHECK(states[1].page_bytes == 2 << 20);
  CHECK(states[1].mode == "always");
  CHECK(states[1].chosen);
  CHECK(states[1].switch_file == "/" + folder + "hugepages-2048kB/enabled");
  CHECK(states[2].page_bytes == 512 << 20);
  CHECK(states[2].whole_entry);
  CHECK(states[2].mode == "madvise");
  CHECK(states[2].switch_file == "/" + folder + "enabled");
  CHECK_FALSE(states[2].chosen);
}

TEST_CASE("a kernel without sizes of their own, and one without huge pages") {
  TemporaryTree tree;
  CHECK(transparent_states(tree.root()).empty());
  tree.file("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n")
      .file("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
  const std::vector<TransparentState> states = transparent_states(tree.root());
  REQUIRE(states.size() == 1);
  CHECK(states[0].chosen);
  CHECK(states[0].whole_entry);
  CHECK_FALSE(states[0].of_size);
}

}  // namespace numapool::platform
