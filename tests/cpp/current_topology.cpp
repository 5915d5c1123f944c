// The holder of the running machine's topology, and what follows the machine through it.
#include "numapool/current_topology.hpp"

#include <doctest/doctest.h>

#include "changing.hpp"

namespace numapool {
namespace {

using Ids = std::vector<int>;
using platform::fake::node;

struct ChangingMachine : Changing<Scripted> {
  static Allocation make(const Allocator& allocator, int node_id, bool strict = false) {
    return allocator.allocate(request(4 * kMiB, node_id, strict), kNoInterrupts);
  }
};

}  // namespace

TEST_CASE_FIXTURE(ChangingMachine, "the topology stays the same object until something changes") {
  const SharedTopology first = current_topology();
  CHECK(topology_now() == first);
  CHECK(renewed_topology() == first);
  CHECK(topology_for(1) == first);
  script().allowed = {0, 2};
  CHECK(topology_for(0) == first);  // usable as far as is known: no look
  const SharedTopology later = topology_now();
  CHECK(later != first);
  CHECK(later->usable_nodes() == Ids{0, 2});
  CHECK(first->usable_nodes() == Ids{0, 1, 2});  // a snapshot never changes
  script().nodes[2].cpus = {4, 5};
  CHECK(topology_now()->node(2).cpus == Ids{4, 5});
}

TEST_CASE_FIXTURE(ChangingMachine, "a kept allocator follows a cpuset that is widened") {
  script().allowed = {0};
  const Allocator kept;
  CHECK(renewed_topology()->usable_nodes() == Ids{0});
  CHECK(make(kept, 1).block.place.node_id == 0);
  script().allowed = {0, 1};
  CHECK(make(kept, 1, true).block.place.node_id == 1);
  CHECK(make(kept, 1).block.place.step == AllocationStep::kPreferred);
  InterleaveRequest wide;
  wide.size_bytes = 4 * kMiB;
  wide.page = {PageRequest::Kind::kBase, 0};  // two huge pages are on two nodes
  script().allowed = {0, 1, 2};
  const Allocation spread = kept.allocate_interleaved(wide, kNoInterrupts);
  CHECK(where(spread).bytes_by_node.size() == 3);
}

TEST_CASE_FIXTURE(ChangingMachine,
                  "a kept allocator uses a node that came, and one that got memory") {
  set_nodes({node(0, {0}, 64 * kMiB, {10, 20}), node(1, {1}, 0, {20, 10})});
  static_cast<void>(renewed_topology());
  const Allocator kept;
  CHECK(make(kept, 1).block.place.node_id == 0);
  CHECK(error_of([&] { return make(kept, 2); }).first == ErrorKind::kNodeNotFound);
  set_nodes({node(0, {0}, 64 * kMiB, {10, 20, 20}), node(1, {1}, 64 * kMiB, {20, 10, 20}),
             node(2, {}, 64 * kMiB, {20, 20, 10})});
  CHECK(make(kept, 1, true).block.place.node_id == 1);
  CHECK(make(kept, 2, true).block.place.node_id == 2);
}

TEST_CASE_FIXTURE(ChangingMachine, "an allocator over a given topology never looks again") {
  script().allowed = {0};
  const Allocator given(topology());
  script().allowed = {0, 1};
  CHECK(make(given, 1).block.place.node_id == 0);
  CHECK(error_of([&] { return make(given, 1, true); }).first == ErrorKind::kPlacement);
}

TEST_CASE_FIXTURE(ChangingMachine,
                  "where nothing changed, or nothing can be read, the error stands") {
  const Allocator kept;
  memory().rooms[1] = {kMiB, 0};
  CHECK(error_of([&] { return make(kept, 1, true); }).first == ErrorKind::kPlacement);
  platform::fake::topology_failure() = platform::Failure{platform::Cause::kOther, "open", 24, "/"};
  CHECK(error_of([&] { return make(kept, 1, true); }).first == ErrorKind::kPlacement);
  CHECK(error_of([] { return topology_now(); }).first == ErrorKind::kSystem);
}

TEST_CASE_FIXTURE(ChangingMachine, "a node that goes is an error that names the nodes there are") {
  const Allocator kept;
  const Allocator given(topology());
  AllocationRequest lazy = request(4 * kMiB, 2);
  lazy.populate = false;
  const auto gone = [&](const auto& call) {
    have_nodes(3);
    static_cast<void>(renewed_topology());
    CHECK(make(kept, 2).block.place.node_id == 2);
    have_nodes(2);
    const auto [kind, text] = error_of(call);
    return kind == ErrorKind::kNodeNotFound && text == "there is no node 2; this machine has: 0, 1";
  };
  CHECK(gone([&] { return make(kept, 2); }));
  CHECK(gone([&] { return make(kept, 2, true); }));
  CHECK(gone([&] { return kept.allocate(lazy, kNoInterrupts); }));
  CHECK(gone([&] { return kept.try_preferred(request(4 * kMiB, 2), kNoInterrupts); }));
  CHECK(make(given, 2).block.place.node_id == 1);  // the chain goes on
}

}  // namespace numapool
