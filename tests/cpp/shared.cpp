// Memory that several processes will map, on the scripted machine: near before far, and no strict
// policy left behind.
#include "numapool/shared.hpp"

#include <doctest/doctest.h>

#include "scripted.hpp"

namespace numapool {

using Bytes = std::map<int, std::uint64_t>;
using platform::Cause;
using platform::Failure;

// Three nodes in a row, 0 - 1 - 2, and a mapping to place.
struct Shared : Scripted {
  SharedPlacement place(std::uint64_t bytes, int node, bool strict = false) {
    mapping = Mapping(bytes, {platform::PageKind::kBase, platform::base_page_bytes()});
    return place_shared(mapping.region(), *topology(), node, strict, kNoInterrupts);
  }
  Bytes where() const { return placement_of(mapping.region()).bytes_by_node; }
  Mapping mapping;
};

TEST_CASE_FIXTURE(Shared, "shared memory goes whole to the nearest node that holds it") {
  memory().rooms[0] = {4 * kMiB, 0};
  memory().rooms[1] = {40 * kMiB, 0};
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kNearest);
  CHECK(where() == Bytes{{1, 32 * kMiB}});
}

TEST_CASE_FIXTURE(Shared, "shared memory is split over near nodes before a far one is used") {
  memory().rooms[0] = {20 * kMiB, 0};
  memory().rooms[1] = {10 * kMiB, 10 * kMiB};
  memory().fallback[0] = {2, 1};
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kAny);
  CHECK(where() == Bytes{{0, 20 * kMiB}, {1, 12 * kMiB}});
  CHECK_FALSE(memory().allocated_under_bind);
}

TEST_CASE_FIXTURE(Shared, "shared memory is refused rather than left under a strict policy") {
  memory().rooms[0] = {4 * kMiB, 40 * kMiB};
  memory().failures_at["set_policy"][3] = Failure{Cause::kNoMemory, "mbind", 12, {}};  // 2 binds
  const auto [kind, text] = error_of([&] { return place(32 * kMiB, 0); });
  CHECK(kind == ErrorKind::kNoMemory);
  CHECK(text.find("strict memory policy") != std::string::npos);
  // Without the failure it fits.
  memory().failures_at.clear();
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kPreferred);
}

TEST_CASE_FIXTURE(Shared, "pages are not pulled onto nodes without room") {
  memory().rooms[0] = {4 * kMiB, 40 * kMiB};
  memory().before = [](platform::fake::MemoryScript& script, std::string_view call, int) {
    if (call == "populate") script.rooms[0].clean_file_bytes = 0;  // another process was quicker
  };
  CHECK(place(32 * kMiB, 0).place.step == AllocationStep::kAny);
  CHECK(memory().calls["set_policy"] == 1);
}

}  // namespace numapool
