// Sizes and pages: what is rounded to what, what overflows, and which page sizes there are.
#include "memory/page_choice.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "numapool/size_text.hpp"
#include "scripted.hpp"

namespace numapool {
namespace {

using Kind = PageRequest::Kind;
using platform::PageKind;

constexpr std::size_t kPage = platform::fake::kBasePage;
constexpr std::size_t kHuge = platform::fake::kHugePage;
constexpr std::size_t kGiB = std::size_t{1} << 30;

PageRequest hugetlb(std::size_t bytes) { return {Kind::kHugetlb, bytes}; }

}  // namespace

TEST_CASE_FIXTURE(Scripted, "base pages: the size is rounded up to whole ones") {
  for (const std::size_t size : {std::size_t{1}, kPage - 1, kPage, kPage + 1, 7 * kPage, kHuge}) {
    const PageChoice choice = choose_pages(size, {Kind::kBase, 0});
    CHECK(choice.pages.kind == PageKind::kBase);
    CHECK(choice.length % kPage == 0);
    CHECK(choice.length >= size);
    CHECK(choice.length < size + kPage);
  }
}

TEST_CASE_FIXTURE(Scripted,
                  "auto takes huge pages from their own size up, and wastes none on tails") {
  CHECK(choose_pages(kHuge - 1, {}).pages.kind == PageKind::kBase);
  const PageChoice huge = choose_pages(kHuge + 1, {});
  CHECK(huge.pages.kind == PageKind::kTransparent);
  CHECK(huge.pages.bytes == kHuge);
  CHECK(huge.length == kHuge + kPage);
  memory().transparent_sizes = 0;
  CHECK(choose_pages(8 * kHuge, {}).pages.kind == PageKind::kBase);
  const auto [kind, text] = error_of([] { return choose_pages(kHuge, {Kind::kTransparent, 0}); });
  CHECK(kind == ErrorKind::kUnsupported);
  CHECK(text.find("switch them on in the script") != std::string::npos);
}

TEST_CASE("the best size of transparent huge pages: the largest up to 2 MiB that fits") {
  constexpr std::uint64_t k64 = 64 << 10;
  constexpr std::uint64_t k2M = 2 << 20;
  constexpr std::uint64_t k32M = 32 << 20;
  constexpr std::uint64_t k512M = 512 << 20;
  using platform::best_transparent;
  CHECK(best_transparent(k2M | k512M, SIZE_MAX) == k2M);  // base pages of 64 KiB
  CHECK(best_transparent(k2M | k512M, k2M - 1) == 0);
  CHECK(best_transparent(k512M, SIZE_MAX) == k512M);
  CHECK(best_transparent(k512M, k512M - 1) == 0);
  CHECK(best_transparent(k32M | k512M, k512M) == k32M);
  CHECK(best_transparent(k64 | k2M, k2M) == k2M);  // base pages of 4 KiB
  CHECK(best_transparent(k64 | k2M, k2M - 1) == k64);
  CHECK(best_transparent(k64 | k2M, k64 - 1) == 0);
  CHECK(best_transparent(k64, SIZE_MAX) == k64);
  CHECK(best_transparent(0, SIZE_MAX) == 0);
  CHECK(best_transparent(k2M, 0) == 0);
}

TEST_CASE_FIXTURE(Scripted, "auto and transparent take the size that suits the mapping") {
  constexpr std::size_t k64 = 64 << 10;
  memory().transparent_sizes = k64 | kHuge;
  CHECK(choose_pages(k64 - 1, {}).pages.kind == PageKind::kBase);
  CHECK(choose_pages(kHuge - 1, {}).pages.bytes == k64);
  CHECK(choose_pages(3 * kHuge, {}).pages.bytes == kHuge);
  CHECK(choose_pages(kHuge - 1, {Kind::kTransparent, 0}).pages.bytes == k64);
  CHECK(choose_pages(1, {Kind::kTransparent, 0}).pages.bytes == kHuge);
  memory().transparent_sizes = kHuge | (kHuge << 8);
  CHECK(choose_pages(kGiB, {}).pages.bytes == kHuge);
}

TEST_CASE_FIXTURE(Scripted, "hugetlb sizes: whole pages, powers of two that the machine has") {
  memory().hugetlb = {{kHuge, 10, 10}, {kGiB, 0, 0}};
  const PageChoice choice = choose_pages(kHuge + 1, hugetlb(kHuge));
  CHECK(choice.pages.kind == PageKind::kHugetlb);
  CHECK(choice.length == 2 * kHuge);
  CHECK(choose_pages(1, hugetlb(kGiB)).length == kGiB);
  CHECK(choose_pages(1, hugetlb(kPage)).pages.kind == PageKind::kBase);
  for (const std::size_t odd : {std::size_t{0}, std::size_t{3}, kHuge + 1, SIZE_MAX}) {
    CHECK(kind_of([&] { return choose_pages(1, hugetlb(odd)); }) == ErrorKind::kInvalidArgument);
  }
  const auto [kind, text] = error_of([] { return choose_pages(1, hugetlb(kHuge * 8)); });
  CHECK(kind == ErrorKind::kUnsupported);
  CHECK(text.find(std::to_string(kHuge) + " (10 of 10 free)") != std::string::npos);
}

TEST_CASE_FIXTURE(Scripted, "no size wraps round, whatever the page") {
  memory().hugetlb = {{kHuge, 0, 0}, {kGiB, 0, 0}};
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  for (const PageRequest& page : {PageRequest{}, {Kind::kBase, 0}, hugetlb(kGiB)}) {
    for (const std::size_t size : {kMost, kMost + 1, SIZE_MAX, SIZE_MAX - kPage, kMost - kGiB}) {
      try {
        const PageChoice choice = choose_pages(size, page);
        CHECK(choice.length >= size);
        CHECK(choice.length <= kMost);
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kNoMemory);
      }
    }
    CHECK(kind_of([&] { return choose_pages(0, page); }) == ErrorKind::kInvalidArgument);
  }
}

TEST_CASE_FIXTURE(Scripted,
                  "huge pages that are not reserved: how many there are, and the remedy") {
  memory().hugetlb = {{kHuge, 0, 0}};
  AllocationRequest asked = request(2 * kHuge, 0);
  asked.page = hugetlb(kHuge);
  const auto [kind, text] = error_of([&] { return allocate(asked); });
  CHECK(kind == ErrorKind::kUnsupported);
  CHECK(text.find("reserve some") != std::string::npos);
  memory().hugetlb = {{kHuge, 4, 1}};
  const auto [kind_of_few, few] = error_of([&] { return allocate(asked); });
  CHECK(kind_of_few == ErrorKind::kNoMemory);
  CHECK(few.find("1 of 4") != std::string::npos);
  memory().hugetlb = {{kHuge, 4, 2}};
  {
    const Allocation got = allocate(asked);
    CHECK(got.block.mapping.length() == 2 * kHuge);
    CHECK(memory().hugetlb.front().free == 0);
  }
  CHECK(memory().hugetlb.front().free == 2);
}

TEST_CASE("sizes as people read them") {
  CHECK(size_text(0) == "0 bytes");
  CHECK(size_text(1023) == "1023 bytes");
  CHECK(size_text(1024) == "1 KiB");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text(256 * kMiB) == "256 MiB");
  CHECK(size_text(1025) == "1 KiB");
  CHECK(size_text(kMiB - 1) == "1 MiB");  // not 1024 KiB
  CHECK(size_text(151 * kMiB + kMiB / 3) == "151 MiB");
  CHECK(size_text(std::uint64_t{5} << 50) == "5 PiB");
  CHECK(size_text(UINT64_MAX) == "16384 PiB");
}

}  // namespace numapool
