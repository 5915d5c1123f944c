// Areas of a process, and moving their pages: here to the node that they are on, and back to none.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/memory.hpp"
#include "platform/process_memory.hpp"

namespace numapool::platform {
namespace {

const std::size_t kPage = base_page_bytes();
constexpr std::size_t kLength = std::size_t{6} << 20;

// Memory of which the first half is there.
class Half {
 public:
  explicit Half(int advice)
      : memory_(static_cast<char*>(
            mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    REQUIRE(memory_ != MAP_FAILED);
    madvise(memory_, kLength, advice);
    for (std::size_t at = 0; at < kLength / 2; at += kPage) memory_[at] = 1;
  }
  ~Half() { munmap(memory_, kLength); }
  Half(const Half&) = delete;
  Half& operator=(const Half&) = delete;

  [[nodiscard]] ProcessArea area() const {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
    return {begin, begin + kLength};
  }
  [[nodiscard]] int node() const {
    int node = -1;
    REQUIRE(kernel::node_of_address(node, memory_) == 0);
    return node;
  }

 private:
  char* memory_;
};

}  // namespace

TEST_CASE(
    "pages of an area are moved, huge ones and base pages, and those that are there counted") {
  const Half base_pages(MADV_NOHUGEPAGE);
  const auto moved = move_process_pages(getpid(), base_pages.area(), base_pages.node());
  REQUIRE(moved);
  CHECK(moved.value() == kLength / 2);

  const Half huge(MADV_HUGEPAGE);
  const auto together = move_process_pages(getpid(), huge.area(), huge.node());
  REQUIRE(together);
  // A huge page at the end of the half may reach into the other one.
  CHECK(together.value() >= kLength / 2);
  CHECK(together.value() <= kLength);
}

TEST_CASE("a part of a huge page is an area too") {
  const Half memory(MADV_HUGEPAGE);
  const auto [begin, end] = memory.area();
  const auto moved =
      move_process_pages(getpid(), {begin + kPage, begin + 5 * kPage}, memory.node());
  REQUIRE(moved);
  CHECK(moved.value() == 4 * kPage);
  const auto none = move_process_pages(getpid(), {begin, begin}, memory.node());
  REQUIRE(none);
  CHECK(none.value() == 0);
}

TEST_CASE("the areas of a process that are its own are found") {
  const Half memory(MADV_NOHUGEPAGE);
  const auto found = private_areas("/proc/self", memory.node(), memory.node());
  REQUIRE(found);
  const auto [begin, end] = memory.area();
  CHECK(std::any_of(found.value().begin(), found.value().end(),
                    [&](const ProcessArea& one) { return one.begin <= begin && end <= one.end; }));
  CHECK(std::none_of(found.value().begin(), found.value().end(), [&](const ProcessArea& one) {
    const auto code = reinterpret_cast<std::uintptr_t>(&private_areas);  // of a file
    return one.begin <= code && code < one.end;
  }));
  const auto elsewhere = private_areas("/proc/self", 1022, 1023);
  REQUIRE(elsewhere);
  CHECK(elsewhere.value().empty());
}

TEST_CASE("a process that is not there has no areas, and no pages to move") {
  const auto areas = private_areas("/proc/0", 0, 1);
  REQUIRE_FALSE(areas);
  CHECK(areas.failure().code == ENOENT);
  const auto moved = move_process_pages(0x3fffffff, {0x10000, 0x20000}, 0);
  REQUIRE_FALSE(moved);
  CHECK(moved.failure().call == "move_pages");
  CHECK(moved.failure().code == ESRCH);
}

}  // namespace numapool::platform
