// Times the first use of memory: page faults one by one, or populating as the allocator does it.
#include <array>
#include <string>

#include "bench/bench_team.hpp"
#include "memory/populate.hpp"
#include "numapool/bench.hpp"
#include "numapool/error.hpp"

namespace numapool::bench {
namespace {

const InterruptCheck kNoCheck = [] {};

// A system that places nothing is measured as well; one that fails otherwise is not.
void prefer(const Mapping& mapping, int node) {
  const std::array<int, 1> nodes{node};
  const platform::Status done = platform::set_policy(mapping.address(), mapping.length(),
                                                     platform::Policy::kPreferred, nodes, false);
  if (done || platform::is_denied(done.failure())) return;
  throw Error(ErrorKind::kSystem, describe(done.failure()), done.failure().code);
}

}  // namespace

FirstUse first_use(First way, std::size_t length, const platform::Pages& pages, int node,
                   std::span<const int> cpus) {
  if (length == 0 || length % pages.bytes != 0) {
    throw Error(ErrorKind::kInvalidArgument, "first use takes whole pages of " +
                                                 std::to_string(pages.bytes) + " bytes, not " +
                                                 std::to_string(length) + " bytes");
  }
  if (pages.kind == platform::PageKind::kHugetlb) {
    require_hugetlb(length, pages);
  } else {
    require_available(length, "cannot use ");
  }
  const Mapping mapping(length, pages);
  prefer(mapping, node);
  FirstUse out;
  const Clock::time_point begin = Clock::now();
  if (way == First::kPopulate) {
    populate(mapping, {cpus, false}, kNoCheck);
    out.ns = ns_between(begin, Clock::now());
    out.stayed = !cpus.empty();
  } else {
    const Memory memory(static_cast<std::byte*>(mapping.address()), length);
    const auto first = cpus.first(cpus.empty() ? 0 : 1);
    out.stayed = run_team(first, {0, 1},
                          {[](std::size_t) {},
                           [&](std::size_t, std::uint32_t, Clock::time_point) {
                             const Clock::time_point touched = Clock::now();
                             touch(memory, platform::base_page_bytes());
                             out.ns = ns_between(touched, Clock::now());
                           }});
  }
  const Placement placement = placement_of(mapping.region());
  out.page_bytes = placement.page_size_bytes;
  out.bytes_on_node = placement.bytes_on(node);
  return out;
}

}  // namespace numapool::bench
