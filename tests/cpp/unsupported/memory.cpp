// A system that numapool does not know: memory works, and every placement call says that it does
// not.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "platform/memory.hpp"
#include "platform/thread.hpp"

namespace numapool::platform {
namespace {

constexpr std::array kNode{0};

Pages base_pages() { return {PageKind::kBase, base_page_bytes()}; }

template <class T>
bool is_unsupported(const Result<T>& result) {
  return !result && result.failure().cause == Cause::kUnsupported &&
         describe(result.failure()).find("not supported on this platform") != std::string::npos;
}

}  // namespace

TEST_CASE("mapped memory is aligned, zero, writable and kept by populate") {
  for (const std::size_t pages : {std::size_t{1}, std::size_t{3}, std::size_t{2048}}) {
    const std::size_t length = pages * base_page_bytes();
    const Result<void*> mapped = map(length, base_pages());
    REQUIRE(mapped);
    auto* const begin = static_cast<unsigned char*>(mapped.value());
    CHECK(reinterpret_cast<std::uintptr_t>(begin) % base_page_bytes() == 0);
    const std::span bytes(begin, length);
    CHECK(std::ranges::all_of(bytes, [](unsigned char byte) { return byte == 0; }));
    std::ranges::fill(bytes, static_cast<unsigned char>(0xA5));
    CHECK(populate(begin, length, base_pages()));
    CHECK(std::ranges::all_of(bytes, [](unsigned char byte) { return byte == 0xA5; }));
    CHECK(unmap(begin, length));
  }
}

TEST_CASE("a length that no machine has is refused as memory that is not there") {
  for (const std::size_t length : {SIZE_MAX, SIZE_MAX - 2 * base_page_bytes(), SIZE_MAX / 2}) {
    const Result<void*> mapped = map(length, base_pages());
    REQUIRE(!mapped);
    CHECK(mapped.failure().cause == Cause::kNoMemory);
  }
}

TEST_CASE("where the pages are is unknown, never guessed") {
  const std::size_t length = 4 * base_page_bytes();
  const Result<void*> mapped = map(length, base_pages());
  REQUIRE(mapped);
  const Residency seen = residency(mapped.value(), length, base_pages(), Precision::kExact);
  CHECK(seen.method == Method::kUnknown);
  CHECK(seen.bytes_by_node.empty());
  CHECK(seen.unknown_bytes == length);
  CHECK(unmap(mapped.value(), length));
}

TEST_CASE("what needs an operating system's help says that it is not supported") {
  const std::size_t length = base_page_bytes();
  const Result<void*> mapped = map(length, base_pages());
  REQUIRE(mapped);
  void* const page = mapped.value();
  CHECK(!has_numa());
  CHECK(!has_preferred_many());
  CHECK(transparent_page_bytes() == 0);
  CHECK(hugetlb_pools().empty());
  CHECK(is_unsupported(map(length, {PageKind::kHugetlb, std::size_t{2} << 20})));
  CHECK(is_unsupported(set_policy(page, length, Policy::kPreferred, kNode, false)));
  CHECK(is_unsupported(move_to_node(page, length, base_pages(), 0)));
  CHECK(is_unsupported(lock(page, length, true)));
  CHECK(is_unsupported(keep_out_of_dumps(page, length)));
  CHECK(is_unsupported(discard(page, length)));
  CHECK(is_unsupported(forbid_huge_pages(page, length)));
  CHECK(memory_bounds().empty());
  CHECK(hugetlb_bounds(std::size_t{2} << 20).empty());
  CHECK(is_unsupported(node_room(0)));
  CHECK(is_unsupported(interleave_weights(kNode)));
  CHECK(unmap(page, length));
}

TEST_CASE("a thread's node and memory policy are not known") {
  CHECK(current_node() == -1);
  CHECK_FALSE(prepare_worker(kNode));
  CHECK(prepare_worker({}));
  CHECK(is_unsupported(thread_policy()));
  CHECK(is_unsupported(set_thread_policy(ThreadMode::kPreferred, kNode)));
  CHECK(is_unsupported(restore_thread_policy({})));
}

}  // namespace numapool::platform
