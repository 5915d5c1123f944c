// A pool of memory blocks per node: reuse without system calls, and never on the wrong node.
//
// Free blocks are kept in lists by (node of their pages, size class), sharded per CPU. A hit makes
// no system call, touches no page, and takes one lock that other CPUs rarely want.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "numapool/allocator.hpp"
#include "numapool/buffer.hpp"
#include "numapool/turn.hpp"

namespace numapool {

struct PoolOptions {
  std::optional<std::uint64_t> max_bytes;  // limit on memory held from the system; empty: no limit
  std::optional<std::uint64_t> retain_bytes;  // limit on retained memory; empty: 1/8 of the peak
  std::optional<std::uint32_t> idle_ms;       // trim free blocks unused for this long; empty: never
  PageRequest page;
  bool core_dump = true;  // false: core dumps leave this memory out
};

// Bytes are those of whole blocks, as sizes are rounded up to the size class.
struct PoolCounts {
  std::int64_t in_use_bytes = 0;       // lent out, by the node of their pages
  std::int64_t retained_bytes = 0;     // resident and free for reuse, by the node of their pages
  std::uint64_t hits = 0;              // by the node asked for: served with a retained block
  std::uint64_t larger_hits = 0;       // of the hits: served with a block of a larger class
  std::uint64_t misses = 0;            // by the node asked for: served with new memory
  std::uint64_t spills = 0;            // by the node asked for: served from another node
  std::uint64_t trimmed_bytes = 0;     // returned to the system since the pool was made
  std::uint64_t high_water_bytes = 0;  // the most memory ever held from the system at once

  bool operator==(const PoolCounts&) const = default;
};

struct PoolStatistics {
  std::map<int, PoolCounts> by_node;  // online nodes, and others that something was counted for
  PoolCounts total;  // the peak of `total` is the peak of the sum, not the sum of the peaks
};

struct AcquireRequest {
  std::size_t size_bytes = 0;
  NodeIds nodes;  // a block of any of them; empty: of the calling thread's node
  bool strict = false;
  std::optional<std::uint64_t> wait_ms;  // at max_bytes, wait this long; empty: do not wait
};

class Pool : public Keeper {
 public:
  // Called when memory was handed out with less placement than asked for, on any thread that
  // acquires, with no pool lock held.
  using Degraded = std::function<void(const Degradation&)>;

  // All of it is thread-safe. A pool lives until everyone has unpinned it and every block is back;
  // open() returns it pinned once. Without a topology, the pool follows the running machine: nodes
  // may come, go, and get memory.
  [[nodiscard]] static Pool* open(std::shared_ptr<const Topology> topology,
                                  const PoolOptions& options);

  // The fast path: lends a retained block of that node, or returns false. `node` -1: the calling
  // thread's node.
  [[nodiscard]] virtual bool try_acquire(std::size_t size_bytes, int node,
                                         Lease& lease) noexcept = 0;
  // The same for several nodes: lends a block of the member nearest to the calling thread. Also
  // returns false if that member has not been determined yet.
  [[nodiscard]] virtual bool try_acquire_near(std::size_t size_bytes, std::span<const int> nodes,
                                              Lease& lease) noexcept = 0;
  // Lends a block by all means: retained on the node, new on it, and so on along the chain. With
  // several nodes, a retained block on any of them is preferred to a new one; the node that lends
  // counts as the one asked for, and only a block outside of them counts as a spill. Throws Error:
  // kExhausted at max_bytes (after the wait; at once if the size can never fit), kPlacement
  // (strict), kNodeNotFound, kNoMemory, kInterrupted, kClosed. `degraded` gets what the allocator
  // reports.
  [[nodiscard]] virtual Lease acquire(const AcquireRequest& request, const InterruptCheck& check,
                                      const Degraded& degraded) = 0;
  // The same without a thread that waits: nullptr, with the block in `lease`, where there is room
  // and nobody waits; else a turn at the end of the line. Its request is served in the order of the
  // line by whoever makes room, and the turn, with `mark`, put into the box then: with a lease, or
  // with an error. A closed pool ends all turns. In the child of a fork they come to nothing: the
  // line is the parent's. Throws as acquire() without a wait, but for room that is to be waited
  // for.
  [[nodiscard]] virtual std::shared_ptr<Turn> join_line(const AcquireRequest& request,
                                                        std::shared_ptr<TurnBox> box,
                                                        const TurnMark& mark, Lease& lease,
                                                        const InterruptCheck& check,
                                                        const Degraded& degraded) = 0;
  // Ends a turn of this pool: it will not be put into its box. False: it was, or will be now.
  virtual bool leave_line(Turn& turn) noexcept = 0;
  // Adds one block of the size's class to the retained memory (for small classes a whole slab) and
  // returns the number of blocks added. `already` is how many blocks this reservation has added
  // before: at max_bytes these are not freed to make room. Throws as acquire().
  virtual std::uint64_t reserve(std::size_t size_bytes, const NodeIds& nodes, std::uint64_t already,
                                const InterruptCheck& check, const Degraded& degraded) = 0;
  // The nodes of such a reservation: those that were named, else that of the calling thread. Throws
  // what reserve() throws where no block can ever be added.
  [[nodiscard]] virtual NodeIds nodes_to_reserve(std::size_t size_bytes, const NodeIds& nodes) = 0;
  // How often memory pressure took retained blocks (trim_within()).
  [[nodiscard]] virtual std::uint64_t times_pressed() const noexcept = 0;
  // Returns retained blocks to the system, largest and oldest first, until at least `at_least`
  // bytes are returned (empty: all), of one node or of all. Returns the bytes. Live blocks are
  // untouched.
  virtual std::uint64_t trim(std::optional<std::uint64_t> at_least,
                             std::optional<int> node) noexcept = 0;
  // The same for `wanted` bytes, but never more than `most`: a block that would exceed it stays.
  virtual std::uint64_t trim_within(std::uint64_t wanted, std::uint64_t most,
                                    std::optional<int> node) noexcept = 0;
  // Memory retained now, on one node or on all. Costs a few loads per CPU.
  [[nodiscard]] virtual std::uint64_t retained_bytes(std::optional<int> node) const noexcept = 0;
  [[nodiscard]] virtual PoolStatistics statistics() = 0;
  [[nodiscard]] virtual const PoolOptions& options() const noexcept = 0;

  // Frees retained memory and stops lending. Blocks that are lent stay valid, and are freed when
  // they come back. Idempotent.
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;

  // Keeps the pool object (not its blocks) alive for another user: a ring, a monitor.
  virtual void pin() noexcept = 0;
  virtual void unpin() noexcept = 0;  // after the last unpin, *this may be destroyed

  // Memory for a fixed purpose that counts as the pool's: for rings. Throws as acquire().
  [[nodiscard]] virtual Allocation take_fixed(std::size_t size_bytes, const NodeIds& nodes,
                                              bool strict, const InterruptCheck& check) = 0;
  virtual void drop_fixed(Block&& block) noexcept = 0;

 protected:
  ~Pool() = default;
};

}  // namespace numapool
