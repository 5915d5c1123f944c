// A pool of memory blocks by node: reuse without system calls, never on the wrong node.
//
// Free blocks are kept in lists by (node where the pages are, size class), sharded per CPU. A hit
// makes no system call, touches no page and takes one lock that other CPUs do not want.
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

namespace numapool {

struct PoolOptions {
  std::optional<std::uint64_t> max_bytes;     // held from the system at most; nothing: no cap
  std::optional<std::uint64_t> retain_bytes;  // retained at most; nothing: an eighth of the peak
  std::optional<std::uint32_t> idle_ms;       // trim blocks unused for so long; nothing: never
  PageRequest page;
  bool core_dump = true;  // false: core dumps leave all of it out
};

// Bytes are those of whole blocks: sizes are rounded up to the size class.
struct PoolCounts {
  std::int64_t in_use_bytes = 0;       // lent out, by the node where the pages are
  std::int64_t retained_bytes = 0;     // resident and free for reuse, by the node where they are
  std::uint64_t hits = 0;              // by the node asked for: served by a retained block
  std::uint64_t misses = 0;            // by the node asked for: served by the system
  std::uint64_t spills = 0;            // by the node asked for: served from another node
  std::uint64_t trimmed_bytes = 0;     // given back to the system since the pool was made
  std::uint64_t high_water_bytes = 0;  // most ever held from the system at once

  bool operator==(const PoolCounts&) const = default;
};

struct PoolStatistics {
  std::map<int, PoolCounts> by_node;  // those online, and others of which something was counted
  PoolCounts total;                   // its high water is of the sum, not the sum of the nodes'
};

struct AcquireRequest {
  std::size_t size_bytes = 0;
  NodeIds nodes;  // a block of any of them; none: of the node of the calling thread
  bool strict = false;
  std::optional<std::uint64_t> wait_ms;  // at max_bytes: wait for so long; nothing: do not wait
};

class Pool : public Keeper {
 public:
  // Called for what memory was handed out with less placement than asked for; any thread that
  // acquires, without the pool's locks.
  using Degraded = std::function<void(const Degradation&)>;

  // Thread-safe, all of it. The pool lives until it is unpinned by everyone and every lease is
  // back; open() returns it pinned once. Without a topology it follows the running machine: nodes
  // may come, go, and get memory.
  [[nodiscard]] static Pool* open(std::shared_ptr<const Topology> topology,
                                  const PoolOptions& options);

  // A retained block of that node, or false: the fast path. `node` -1: the calling thread's.
  [[nodiscard]] virtual bool try_acquire(std::size_t size_bytes, int node,
                                         Lease& lease) noexcept = 0;
  // The same for several nodes: of the one that is nearest to the calling thread. False, too, where
  // which one that is was not worked out yet.
  [[nodiscard]] virtual bool try_acquire_near(std::size_t size_bytes, std::span<const int> nodes,
                                              Lease& lease) noexcept = 0;
  // A block by every means: retained on the node, new on it, and so on along the chain. Of several
  // nodes, one that is retained on any of them comes before a new one; the node that lends counts
  // as the one that was asked for, and a spill is a block of none of them. Throws Error: kExhausted
  // at max_bytes (after the wait; at once for what never fits), kPlacement (strict), kNodeNotFound,
  // kNoMemory, kInterrupted, kClosed. `degraded` gets what the allocator had to say.
  [[nodiscard]] virtual Lease acquire(const AcquireRequest& request, const InterruptCheck& check,
                                      const Degraded& degraded) = 0;
  // Adds one block of the size's class to what is retained (for small classes a whole slab of
  // them), and returns how many were added. `already`: how many the same reservation has added; at
  // max_bytes they make no room for more. Errors as acquire().
  virtual std::uint64_t reserve(std::size_t size_bytes, const NodeIds& nodes, std::uint64_t already,
                                const InterruptCheck& check, const Degraded& degraded) = 0;
  // Gives retained blocks back to the system, largest and oldest first, until `at_least` bytes are
  // back (nothing: all), of one node or of all. Returns the bytes. Live blocks are untouched.
  virtual std::uint64_t trim(std::optional<std::uint64_t> at_least,
                             std::optional<int> node) noexcept = 0;
  // The same for `wanted` bytes, but never more than `most`: a block that would pass it stays.
  virtual std::uint64_t trim_within(std::uint64_t wanted, std::uint64_t most,
                                    std::optional<int> node) noexcept = 0;
  // Retained now, on one node or on all; a few loads for each CPU.
  [[nodiscard]] virtual std::uint64_t retained_bytes(std::optional<int> node) const noexcept = 0;
  [[nodiscard]] virtual PoolStatistics statistics() = 0;
  [[nodiscard]] virtual const PoolOptions& options() const noexcept = 0;

  // Frees what is retained and lends no more; what is lent stays valid and is freed as it comes
  // back. Idempotent.
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;

  // Keeps the pool object (not its blocks) alive for whoever else calls it: a ring, a monitor.
  virtual void pin() noexcept = 0;
  virtual void unpin() noexcept = 0;  // the last: *this may be gone

  // Memory of a fixed use that counts as the pool's: for rings. Throws as acquire().
  [[nodiscard]] virtual Allocation take_fixed(std::size_t size_bytes, const NodeIds& nodes,
                                              bool strict, const InterruptCheck& check) = 0;
  virtual void drop_fixed(Block&& block) noexcept = 0;

 protected:
  ~Pool() = default;
};

}  // namespace numapool
