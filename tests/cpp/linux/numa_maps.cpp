// Lines of /proc/PID/numa_maps as kernels write them, and this process's own.
#include "platform/linux/memory/numa_maps.hpp"

#include <doctest/doctest.h>

#include "platform/process_memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kBase = 4096;
using Pages = std::vector<std::pair<int, std::uint64_t>>;

MappedPages line_of(std::string_view text) {
  MappedPages line;
  line.pages_by_node = {{9, 9}};  // of a line before
  REQUIRE(read_mapped_pages(text, kBase, line));
  return line;
}

TEST_CASE("a mapping has its policy, its use and its pages by node") {
  const MappedPages line = line_of(
      "7f35e8d42000 prefer:1 anon=512 dirty=512 active=0 N0=12 N1=500 kernelpagesize_kB=4\n");
  CHECK(line.start == 0x7f35e8d42000);
  CHECK(line.policy == "prefer:1");
  CHECK(line.use == PageUse::kPrivate);
  CHECK(line.pages_by_node == Pages{{0, 12}, {1, 500}});
  CHECK(line.page_bytes == kBase);
}

TEST_CASE("policies may have two words") {
  CHECK(line_of("7f35 weighted interleave:0-1 anon=3 N0=3").policy == "weighted interleave:0-1");
  CHECK(line_of("7f35 prefer (many):0-1 heap anon=3 N0=3").policy == "prefer (many):0-1");
  CHECK(line_of("7f35 prefer (many):0-1 heap anon=3 N0=3").use == PageUse::kHeap);
  CHECK(line_of("7f35 prefer=static:1 heap").policy == "prefer=static:1");
}

TEST_CASE("what a mapping is for") {
  CHECK(line_of("55d0 default heap anon=33 N0=33 kernelpagesize_kB=4").use == PageUse::kHeap);
  CHECK(line_of("7ffc default stack anon=5 N1=5 kernelpagesize_kB=4").use == PageUse::kStack);
  CHECK(line_of("7ffc default stack:123 anon=5 N1=5").use == PageUse::kStack);
  CHECK(line_of("7f35 default file=/usr/lib/x.so mapped=7 N0=7").use == PageUse::kFile);
  CHECK(line_of("7f35 default file=/a\\040heap\\040N0=3 mapped=7 N0=7").use == PageUse::kFile);
  CHECK(line_of("7f35 default file=/a\\040heap\\040N0=3 N1=7").pages_by_node == Pages{{1, 7}});
  const MappedPages huge = line_of(
      "7f35 bind:0-1 file=/anon_hugepage\\040(deleted) huge dirty=3 N1=3 kernelpagesize_kB=2048");
  CHECK(huge.use == PageUse::kHuge);
  CHECK(huge.policy == "bind:0-1");
  CHECK(huge.page_bytes == 2048 * 1024);
  CHECK(line_of("7f35 default").pages_by_node.empty());
}

TEST_CASE("a mapping of which others have pages says so") {
  CHECK(line_of("7f35 default file=/usr/lib/x.so mapped=7 mapmax=31 N0=7").shared);
  CHECK_FALSE(line_of("7f35 default file=/usr/lib/mapmax=3 mapped=7 N0=7").shared);
}

TEST_CASE("a text that is no line is none, and words that make no sense are passed over") {
  MappedPages line;
  for (const char* text : {"", "\n", " ", "xyz default", "=", "-"})
    CHECK_FALSE(read_mapped_pages(text, kBase, line));
  CHECK(line_of("7f35 default N=3 Nx=3 N1 N1= N2=x N99999999999999=1 N3=4").pages_by_node ==
        Pages{{3, 4}});
  CHECK(line_of("7f35 default kernelpagesize_kB= N0=1").page_bytes == kBase);
}

TEST_CASE("this process's memory is all in mappings, and its stack is one of them") {
  const auto memory = process_memory("/proc/self");
  if (!memory) return;  // a kernel without NUMA
  CHECK(memory.value().mappings > 3);
  CHECK_FALSE(memory.value().policy.empty());
  CHECK(memory.value().bytes.contains(PageUse::kStack));
  CHECK(memory.value().bytes.contains(PageUse::kFile));
}

TEST_CASE("a process that is not there is the system's error") {
  const auto none = process_memory("/proc/0");
  REQUIRE_FALSE(none);
  CHECK(none.failure().code == ENOENT);
  CHECK(none.failure().detail == "/proc/0/numa_maps");
}

}  // namespace
}  // namespace numapool::platform
