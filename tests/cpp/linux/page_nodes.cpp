// Where pages are, by a kernel that hides some (automatic balancing, compaction), answers nothing,
// or breaks a scan off.
#include "platform/linux/memory/page_nodes.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "platform/linux/memory/move_pages.hpp"
#include "platform/linux/memory/pagemap.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

enum class State {
  kPlain,
  kBusyAtFirst,
  kBusy,
  kHidden,
  kHiddenHuge,
  kMovingTwice,  // a read finds it in its place, and the next look on its way again
  kMoving,
  kUnreadable,
  kZeros,
  kDevice,
  kAbsent
};

struct ScriptedPage {
  State state = State::kAbsent;
  int node = 0;
};

// Linux 6.1 as far as these calls go.
struct Kernel {
  std::map<const void*, ScriptedPage> pages;
  bool inert = false;       // says "done" and does nothing
  std::size_t huge = 0;     // bytes of its huge pages; 0: none
  bool ends_early = false;  // at a page that cannot be moved
  int moves = 0;
  std::size_t pages_listed = 0;  // to be moved
  bool no_pagemap = false;       // nobody tells which pages are there
  int reads = 0;
  std::size_t pages_asked = 0;  // where they are
  bool tells_huge = false;      // that pages are huge, where they are
};
Kernel kernel;

void move_all_of(const void* page, int node) {
  const auto block = reinterpret_cast<std::uintptr_t>(page) / kernel.huge;
  for (auto& [address, one] : kernel.pages) {
    if (reinterpret_cast<std::uintptr_t>(address) / kernel.huge == block &&
        one.state == State::kPlain)
      one.node = node;
  }
}

long scripted_move_pages(std::size_t count, void** pages, const int* nodes, int* status) {
  if (kernel.inert) return 0;
  kernel.moves += nodes != nullptr ? 1 : 0;
  (nodes != nullptr ? kernel.pages_listed : kernel.pages_asked) += count;
  for (std::size_t i = 0; i < count; ++i) {
    ScriptedPage& page = kernel.pages[pages[i]];
    if (kernel.ends_early && nodes != nullptr && page.state == State::kBusy)
      return static_cast<long>(count - i);
    switch (page.state) {
      case State::kPlain:
        if (nodes != nullptr) page.node = nodes[i];
        if (nodes != nullptr && kernel.huge != 0) move_all_of(pages[i], nodes[i]);
        status[i] = page.node;
        break;
      case State::kBusyAtFirst:  // the next time it goes, as a page that its neighbour takes along
      case State::kBusy:
        status[i] = nodes != nullptr ? -EBUSY : page.node;
        if (page.state == State::kBusyAtFirst && nodes != nullptr) page = {State::kPlain, nodes[i]};
        break;
      case State::kHiddenHuge:
      case State::kZeros:
        status[i] = -EFAULT;
        break;
      default:
        status[i] = -ENOENT;
    }
  }
  return 0;
}

void scripted_presence(std::span<void* const> pages, std::span<Presence> out) {
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const bool there = kernel.pages[pages[i]].state != State::kAbsent;
    out[i] = there ? Presence::kPresent : Presence::kAbsent;
    if (kernel.no_pagemap) out[i] = Presence::kUnknown;
  }
}

bool scripted_read(void* address, std::size_t length) {
  for (std::size_t at = 0; at < length; at += base_page_bytes()) {
    ScriptedPage& page = kernel.pages[static_cast<char*>(address) + at];
    ++kernel.reads;
    CHECK(page.state != State::kAbsent);  // a look makes nothing resident
    if (page.state == State::kUnreadable) return false;
    if (page.state == State::kHidden || page.state == State::kHiddenHuge ||
        page.state == State::kMoving)
      page.state = State::kPlain;
    if (page.state == State::kMovingTwice) page.state = State::kMoving;
  }
  return true;
}

bool scripted_are_huge(const void*, std::size_t) { return kernel.tells_huge; }

constexpr PageCalls kScripted{scripted_move_pages, scripted_presence, scripted_read,
                              scripted_are_huge};

std::vector<void*> scripted(const std::vector<ScriptedPage>& pages) {
  kernel = {};
  std::vector<void*> out;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    out.push_back(reinterpret_cast<void*>((i + 16) * base_page_bytes()));
    kernel.pages[out.back()] = pages[i];
  }
  return out;
}

TEST_CASE("pages that automatic balancing hides are read, and then told of") {
  auto pages = scripted({{State::kHidden, 2},
                         {State::kHidden, 2},
                         {State::kAbsent, 0},
                         {State::kPlain, 1},
                         {State::kHiddenHuge, 3},
                         {State::kHiddenHuge, 3}});
  std::array<int, 6> nodes{};
  REQUIRE(ask_nodes(pages, nodes, kScripted));
  CHECK(nodes == std::array{2, 2, kNotResident, 1, 3, 3});
  CHECK(kernel.reads == 4);
}

TEST_CASE("a page on its way to another place is waited for") {
  auto pages = scripted({{State::kMoving, 2}, {State::kMovingTwice, 1}, {State::kZeros, 0}});
  std::array<int, 3> nodes{};
  REQUIRE(ask_nodes(pages, nodes, kScripted));
  CHECK(nodes == std::array{2, 1, kNotResident});
}

TEST_CASE("of a page that is there and cannot be asked about nothing is known") {
  auto pages = scripted({{State::kUnreadable, 1}, {State::kZeros, 0}, {State::kDevice, 0}});
  std::array<int, 3> nodes{};
  REQUIRE(ask_nodes(pages, nodes, kScripted));
  CHECK(nodes == std::array{kUnknownNode, kNotResident, kUnknownNode});
}

TEST_CASE("where nobody tells which pages are there, none is called absent") {
  auto pages = scripted({{State::kHidden, 1}, {State::kPlain, 1}});
  kernel.no_pagemap = true;
  std::array<int, 2> nodes{};
  REQUIRE(ask_nodes(pages, nodes, kScripted));
  CHECK(nodes == std::array{kUnknownNode, 1});
}

TEST_CASE("a call that answers nothing is no answer") {
  auto pages = scripted({{State::kPlain, 0}, {State::kPlain, 0}});
  kernel.inert = true;
  std::array<int, 2> nodes{};
  const Status asked = ask_nodes(pages, nodes, kScripted);
  REQUIRE_FALSE(asked);
  CHECK(is_denied(asked.failure()));
  CHECK(move_pages_to(pages, 1, nodes, kScripted) == 0);
  CHECK(all_unanswered(nodes));
}

TEST_CASE("pages that automatic balancing hides are moved") {
  auto pages = scripted({{State::kHidden, 2}, {State::kPlain, 0}, {State::kHiddenHuge, 3}});
  std::array<int, 3> status{};
  CHECK(move_pages_to(pages, 1, status, kScripted) == 0);
  CHECK(status == std::array{1, 1, 1});
  for (void* page : pages) CHECK(kernel.pages[page].node == 1);
}

TEST_CASE("a page that is hidden again before it is moved is read again") {
  auto pages = scripted({{State::kMovingTwice, 0}, {State::kPlain, 0}, {State::kZeros, 0}});
  std::array<int, 3> status{};
  CHECK(move_pages_to(pages, 1, status, kScripted) == 0);
  CHECK(status == std::array{1, 1, -EFAULT});
  CHECK(kernel.moves == 3);
  pages = scripted({{State::kZeros, 0}});
  CHECK(move_pages_to(pages, 1, std::span(status).first(1), kScripted) == 0);
  CHECK(kernel.moves == 2);  // the shared page of zeros never moves
}

TEST_CASE("what a move is said to have kept is what is elsewhere after it") {
  const platform::Pages base{PageKind::kBase, base_page_bytes()};
  const auto pages = scripted({{State::kBusyAtFirst, 0},
                               {State::kBusy, 0},
                               {State::kBusy, 1},
                               {State::kAbsent, 0},
                               {State::kPlain, 0}});
  const auto moved =
      move_resident_by(kScripted, pages.front(), pages.size() * base_page_bytes(), base, 1);
  REQUIRE(moved);
  CHECK(moved.value().busy_bytes == base_page_bytes());
  CHECK(moved.value().shared_bytes + moved.value().full_bytes + moved.value().other_bytes == 0);
}

TEST_CASE("a move that does nothing has kept everything") {
  const platform::Pages base{PageKind::kBase, base_page_bytes()};
  const auto pages = scripted({{State::kPlain, 0}, {State::kPlain, 0}});
  kernel.inert = true;
  const auto moved = move_resident_by(kScripted, pages.front(), 2 * base_page_bytes(), base, 1);
  REQUIRE(moved);
  CHECK(moved.value().other_bytes == 2 * base_page_bytes());
}

// The mapping's first block is at page 16.
const std::size_t kBlock = 4 * base_page_bytes();
const platform::Pages kHugePages{PageKind::kTransparent, kBlock};

std::vector<int> nodes_of(const std::vector<void*>& pages) {
  std::vector<int> out;
  for (const void* page : pages) out.push_back(kernel.pages[page].node);
  return out;
}

TEST_CASE("a huge page is moved by one of its addresses") {
  const auto pages = scripted(std::vector<ScriptedPage>(10, {State::kPlain, 0}));
  const std::size_t length = pages.size() * base_page_bytes();
  kernel.huge = kBlock;
  REQUIRE(move_to_node_by(kScripted, pages.front(), length, kHugePages, 1));
  CHECK(nodes_of(pages) == std::vector<int>(10, 1));
  CHECK(kernel.pages_listed == 2 + 2);  // two blocks, and two pages after them

  for (const bool tells : {false, true}) {
    const int node = tells ? 2 : 0;
    kernel.pages_listed = kernel.pages_asked = 0;
    kernel.tells_huge = tells;
    const auto moved = move_resident_by(kScripted, pages.front(), 2 * kBlock, kHugePages, node);
    REQUIRE(moved);
    CHECK(moved.value().there_bytes == 2 * kBlock);
    CHECK(nodes_of(pages) ==
          std::vector<int>{node, node, node, node, node, node, node, node, 1, 1});
    CHECK(kernel.pages_listed == 2);
    CHECK(kernel.pages_asked == (tells ? 2U : 2U + 8U));
  }
}

TEST_CASE("what a move was told is not asked for again") {
  const platform::Pages base{PageKind::kBase, base_page_bytes()};
  const auto pages = scripted(std::vector<ScriptedPage>(10, {State::kPlain, 0}));
  const std::size_t length = pages.size() * base_page_bytes();
  const auto own = move_to_node_by(kScripted, pages.front(), length, base, 1);
  REQUIRE(own);
  CHECK(own.value() == length);
  const auto others = move_resident_by(kScripted, pages.front(), length, base, 2);
  REQUIRE(others);
  CHECK(others.value().there_bytes == length);
  CHECK(kernel.pages_asked == 0);
  // A part of the first and of the last page.
  const auto part =
      move_resident_by(kScripted, static_cast<char*>(pages.front()) + 16, length - 32, base, 0);
  REQUIRE(part);
  CHECK(part.value().there_bytes == length - 32);
}

TEST_CASE(
    "of a page that stays, and of a block whose last page was there, nobody is told it moved") {
  std::vector<ScriptedPage> script(8, {State::kPlain, 0});
  script[1].state = State::kBusy;
  script[3].node = script[7].node = 1;  // the last pages of two blocks of base pages
  const auto pages = scripted(script);
  const std::size_t length = pages.size() * base_page_bytes();
  const auto own = move_to_node_by(kScripted, pages.front(), length, kHugePages, 1);
  REQUIRE(own);
  CHECK(own.value() < length);
  const auto others = move_resident_by(kScripted, pages.front(), length, kHugePages, 1);
  REQUIRE(others);
  CHECK(others.value().there_bytes == length - base_page_bytes());
  CHECK(others.value().busy_bytes == base_page_bytes());
  CHECK(nodes_of(pages) == std::vector<int>{1, 0, 1, 1, 1, 1, 1, 1});
}

TEST_CASE("what was no huge page after all is moved page by page, and no call is made in vain") {
  std::vector<ScriptedPage> script(16, {State::kPlain, 0});
  script[6].state = State::kAbsent;
  const auto pages = scripted(script);
  const std::size_t length = pages.size() * base_page_bytes();
  REQUIRE(move_to_node_by(kScripted, pages.front(), length, kHugePages, 1));
  CHECK(nodes_of(pages) == std::vector<int>{1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK(kernel.moves == 2);

  // A part of a block alone, which shares it with others.
  kernel.pages_listed = 0;
  REQUIRE(move_to_node_by(kScripted, pages[1], 2 * base_page_bytes(), kHugePages, 2));
  CHECK(kernel.pages_listed == 2);
  CHECK(nodes_of(pages)[3] == 1);
}

TEST_CASE("pages behind one that stays are moved all the same") {
  std::vector<ScriptedPage> script(2048, {State::kPlain, 0});
  script[3].state = State::kBusy;
  const auto pages = scripted(script);
  kernel.ends_early = true;
  const platform::Pages base{PageKind::kBase, base_page_bytes()};
  REQUIRE(move_to_node_by(kScripted, pages.front(), pages.size() * base_page_bytes(), base, 1));
  const std::vector<int> nodes = nodes_of(pages);
  CHECK(std::count(nodes.begin() + 512, nodes.end(), 1) == 1536);
  CHECK(kernel.moves == 1 + 4);  // all, and then the groups
}

// The layout of the kernel's struct pm_scan_arg and page_region (include/uapi/linux/fs.h).
struct Scan {
  std::uint64_t size, flags, start, end, walk_end, regions, region_count;
};
struct Region {
  std::uint64_t start, end, categories;
};

struct Found {
  std::uintptr_t known = 0;
  std::vector<ResidentRun> runs;
};

Found scan(std::uintptr_t begin, std::size_t length, const ScanCall& call,
           const CoreCall& core = {}) {
  Found found;
  found.known = scan_resident(
      reinterpret_cast<void*>(begin), length,
      [&](const ResidentRun& run) { found.runs.push_back(run); }, call, core);
  return found;
}

TEST_CASE("a scan that fails on its way tells how far it came") {
  int calls = 0;
  const Found found = scan(0x10000, 0x8000, [&](void* argument) {
    auto* const asked = static_cast<Scan*>(argument);
    if (++calls == 2) {
      errno = ENOMEM;
      return -1;
    }
    *reinterpret_cast<Region*>(asked->regions) = {0x11000, 0x12000, 1U << 3};
    asked->walk_end = 0x14000;
    return 1;
  });
  CHECK(found.known == 0x14000);
  REQUIRE(found.runs.size() == 1);
  CHECK(found.runs[0].end == 0x12000);
}

TEST_CASE("a scan finds pages on their way to another place, and none that were swapped out") {
  const std::uintptr_t begin = 16 * base_page_bytes();
  const std::uintptr_t end = begin + 8 * base_page_bytes();
  const auto call = [&](void* argument) {
    auto* const asked = static_cast<Scan*>(argument);
    *reinterpret_cast<Region*>(asked->regions) = {begin, end, 1U << 4};
    asked->walk_end = end;
    return 1;
  };
  const Found found = scan(begin, end - begin, call, [&](void* at, std::size_t length, auto* out) {
    CHECK(reinterpret_cast<std::uintptr_t>(at) == begin);
    CHECK(length == end - begin);
    const std::array<unsigned char, 8> core{0, 1, 1, 0, 0, 1, 0, 1};
    std::copy(core.begin(), core.end(), out);
    return 0;
  });
  REQUIRE(found.runs.size() == 3);
  const auto page_of = [&](std::uintptr_t at) { return (at - begin) / base_page_bytes(); };
  CHECK(page_of(found.runs[0].start) == 1);
  CHECK(page_of(found.runs[0].end) == 3);
  CHECK(page_of(found.runs[1].start) == 5);
  CHECK(page_of(found.runs[2].end) == 8);
  CHECK(scan(begin, end - begin, call, [](auto...) { return -1; }).runs.empty());
}

TEST_CASE("a scan that does nothing tells nothing") {
  CHECK(scan(0x10000, 0x8000, [](void*) { return 0; }).known == 0x10000);
  CHECK(scan(0x10000, 0x8000, [](void*) { return -1; }).known == 0x10000);
}

TEST_CASE("the page table tells which pages are there") {
  const std::size_t page = base_page_bytes();
  void* const memory =
      mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* const bytes = static_cast<char*>(memory);
  bytes[0] = bytes[2 * page] = 1;
  // As hidden as this system can make a page: it is there and may not be read.
  REQUIRE(mprotect(bytes + 2 * page, page, PROT_NONE) == 0);
  std::array<void*, 4> pages{bytes, bytes + page, bytes + 2 * page, bytes + 3 * page};
  std::array<Presence, 4> seen{};
  read_presence(pages, seen);
  CHECK(seen ==
        std::array{Presence::kPresent, Presence::kAbsent, Presence::kPresent, Presence::kAbsent});
  CHECK_FALSE(kSystemPageCalls.read(bytes + 2 * page, page));
  CHECK(kSystemPageCalls.read(bytes, page));
  munmap(memory, 4 * page);
}

}  // namespace
}  // namespace numapool::platform
