// Blocks of rings and streams whose pages were moved: they say where they are when they are lent
// again, and nobody's books change.
#include <vector>

#include "numapool/object_memory.hpp"
#include "numapool/ring.hpp"
#include "streams.hpp"

namespace numapool {
namespace {

struct Rings : Pools {
  Rings() {
    open();
    ring = Ring::open(*pool, {64 * 1024, 2, 0, false}, kNoInterrupts, {});
  }
  ~Rings() { ring->drop(); }
  Lease next() { return ring->acquire(0, kNoInterrupts); }
  Ring* ring = nullptr;
};

void move(const Region& region, int node) {
  const auto begin = reinterpret_cast<std::uintptr_t>(region.address);
  static_cast<void>(move_to({{begin, begin + region.length}}, node, kNoInterrupts));
}

}  // namespace

TEST_CASE_FIXTURE(Rings, "a ring's block that was migrated says so when it is lent again") {
  const std::vector<Lease> out{next(), next()};
  static_cast<void>(migrate(out[0].region, 2, kNoInterrupts));
  for (const Lease& lease : out) give(lease);
  const Lease moved = next();
  CHECK(moved.place.node_id == 2);
  CHECK(moved.place.step == AllocationStep::kNearest);
  CHECK(moved.place.requested_node == 0);
  const Lease other = next();
  CHECK(other.place.node_id == 0);
  CHECK(other.place.step == AllocationStep::kPreferred);
  give(moved);
  give(other);
  Lease quick;
  CHECK(ring->try_acquire(quick));  // nothing was moved since
  give(quick);
}

TEST_CASE_FIXTURE(Rings, "a ring is where most of its blocks are; its pool's books stay") {
  CHECK(ring->place().node_id == 0);
  const std::vector<Lease> out{next(), next()};
  for (const Lease& lease : out) move(lease.region, 1);
  CHECK(ring->place().node_id == 1);
  for (const Lease& lease : out) give(lease);
  CHECK(of(0).in_use_bytes == 128 * 1024);
  ring->close();
  CHECK(total().in_use_bytes == 0);
  CHECK(ring->place().node_id == 1);
}

TEST_CASE_FIXTURE(Streams, "a stream's block that was migrated says so when it is lent again") {
  file(12 * 4096);
  StreamOptions options = of(4096, 1);
  options.nodes = 0;
  open(options);
  CHECK(stream->figures().node_id == 0);
  int moved = 0;
  for (StreamItem item = next(); item.kind == StreamItem::Kind::kBlock; item = next()) {
    const Placement seen = placement_of(item.lease.region);
    REQUIRE(item.lease.place.node_id == seen.sole_node());
    moved += item.lease.place.node_id == 2;
    static_cast<void>(migrate(item.lease.region, 2, kNoInterrupts));
    give(item.lease);
  }
  CHECK(moved >= 10);  // each of the two blocks was lent once before it was moved
}

}  // namespace numapool
