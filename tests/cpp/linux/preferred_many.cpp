// Whether the kernel prefers several nodes at once is told before any memory has such a policy.
#include <doctest/doctest.h>

#include <array>

#include "platform/memory.hpp"
#include "platform/thread.hpp"

namespace numapool::platform {

TEST_CASE("a policy for several nodes is taken where the kernel says that it knows one") {
  const Result<void*> mapped = map(base_page_bytes(), {PageKind::kBase, base_page_bytes()});
  REQUIRE(mapped);
  const std::array<int, 2> nodes{current_node(), current_node()};
  const Status set =
      set_policy(mapped.value(), base_page_bytes(), Policy::kPreferredMany, nodes, false);
  CHECK(set.ok() == has_preferred_many());
  REQUIRE(unmap(mapped.value(), base_page_bytes()));
}

}  // namespace numapool::platform
