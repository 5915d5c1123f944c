// What an operating system must provide to map memory, place it, and tell where it is.
//
// Every function is thread-safe, keeps none of its pointers, reports failure by value, and throws
// only std::bad_alloc (a Failure contains strings). Addresses and lengths are multiples of the
// mapping's page size. Nothing here prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "platform/result.hpp"
#include "platform/transparent_sizes.hpp"

namespace numapool::platform {

enum class PageKind { kBase, kTransparent, kHugetlb };

// `bytes` is the size of one page of this kind: the base page, the transparent huge page, or the
// hugetlb size.
struct Pages {
  PageKind kind = PageKind::kBase;
  std::size_t bytes = 0;
};

enum class Policy {
  kPreferred,      // this node first, others if it has no free memory; never invokes the OOM killer
  kPreferredMany,  // the same for several nodes: the nearest to the thread that touches the page
                   // (has_preferred_many())
  kBind,           // these nodes or none: used only for memory whose pages are all resident
  kInterleave,     // page by page over the nodes
  kWeightedInterleave,  // the same, by the system's weights (Linux 6.9)
};

// Sources for where pages are, best first.
enum class Method { kMovePages, kGetMempolicy, kNumaMaps, kQueryWorkingSet, kOnlyNode, kUnknown };

// kSampled looks at every huge page, but at only one of 64 base pages (256 KiB), for the
// allocator's own check.
enum class Precision { kExact, kSampled };

// Where the pages of a range are. Under kSampled, the bytes are extrapolated from the sample.
struct Residency {
  std::vector<std::pair<int, std::uint64_t>> bytes_by_node;  // ascending node id, no zeros
  std::uint64_t not_resident_bytes = 0;
  std::uint64_t unknown_bytes = 0;  // resident, on an unknown node
  std::size_t page_bytes = 0;       // the largest page found; the base page if nothing is resident
  Method method = Method::kUnknown;
};

struct HugetlbPool {
  std::size_t page_bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// What a node can still hold: free pages, and clean file pages that reclaim can drop at once.
struct NodeRoom {
  std::uint64_t free_bytes = 0;
  std::uint64_t clean_file_bytes = 0;
};

// Whether this system places memory by node at all. If not, every policy call returns kUnsupported.
[[nodiscard]] bool has_numa() noexcept;

// Whether the system has Policy::kPreferredMany (Linux 5.15).
[[nodiscard]] bool has_preferred_many() noexcept;

[[nodiscard]] std::size_t base_page_bytes() noexcept;
// The sizes of transparent huge pages that the system gives to a mapping on request, as a sum of
// powers of two. 0 if they are off or unknown to the system.
[[nodiscard]] std::uint64_t transparent_sizes() noexcept;
// The best of them for a mapping of `length` bytes, 0 if there is none.
[[nodiscard]] inline std::size_t transparent_page_bytes(std::size_t length = SIZE_MAX) noexcept {
  return best_transparent(transparent_sizes(), length);
}
// The size that one entry of a page middle directory maps, whether or not the system makes such
// pages now. The system reports only pages of this size, not of the others. 0: unknown.
[[nodiscard]] std::size_t whole_entry_bytes() noexcept;
// Why there are none, and what an administrator can do, for error messages.
[[nodiscard]] std::string transparent_hint();
// Every huge page size that the machine knows, ascending; `total` is 0 if none are reserved.
[[nodiscard]] std::vector<HugetlbPool> hugetlb_pools();
// Where an administrator reserves pages of that size, for error messages.
[[nodiscard]] std::string hugetlb_reserve_hint(std::size_t page_bytes);

// Maps `length` bytes of private zeroed memory, aligned to the page size, with no page resident.
// kNoMemory also if no huge pages are reserved.
Result<void*> map(std::size_t length, const Pages& pages);
Status unmap(void* address, std::size_t length);
// Returns the pages to the system, and keeps the mapping with its policy and advice. The pages read
// as zero afterwards. Locked memory stays locked: new pages are locked as they are touched.
// kInvalid if the system frees pages of this kind only together with their mapping (hugetlb before
// Linux 5.18).
Status discard(void* address, std::size_t length);
// From now on, new pages of the range (a transparent mapping's) are base pages only.
Status forbid_huge_pages(void* address, std::size_t length);
// Locks the range into memory. With `resident_now` false, each page is locked when it is first
// touched.
Status lock(void* address, std::size_t length, bool resident_now);

// Excludes a whole mapping from core dumps, permanently.
Status keep_out_of_dumps(void* address, std::size_t length);

// Sets the policy of the range for new pages. With `move`, also moves resident pages to the
// policy's nodes as far as they fit there (after reclaiming clean cache); kPartial if some did not
// move.
Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move);
// Makes every page of the range resident and writable, in the calling thread. New pages are zero.
Status populate(void* address, std::size_t length, const Pages& pages);
// Moves resident pages to `node` as far as they fit, without changing the policy and without risk
// to the contents. Succeeds if the system did what it could. Returns the bytes that are known to be
// on the node then, because the system said so as it moved them; of the others nothing is known.
Result<std::uint64_t> move_to_node(void* address, std::size_t length, const Pages& pages, int node);
// What happened to pages that were to be moved, in bytes. Pages that were on the node already are
// not counted as kept.
struct MoveTally {
  std::uint64_t there_bytes = 0;   // known to be on the node now
  std::uint64_t shared_bytes = 0;  // other processes have mapped these pages, too
  std::uint64_t busy_bytes = 0;    // in use by the kernel or a device now
  std::uint64_t full_bytes = 0;    // the node had no room
  std::uint64_t other_bytes = 0;   // the system cannot move such pages

  MoveTally& operator+=(const MoveTally& more) noexcept {
    there_bytes += more.there_bytes;
    shared_bytes += more.shared_bytes;
    busy_bytes += more.busy_bytes;
    full_bytes += more.full_bytes;
    other_bytes += more.other_bytes;
    return *this;
  }
};
// Moves the resident pages of a range, whoever mapped it; policies stay. `pages` tells how they are
// mapped (hugetlb or not). A hugetlb page that extends beyond the range is moved whole.
// kUnsupported or kRefused if the system does not allow it.
Result<MoveTally> move_resident(void* address, std::size_t length, const Pages& pages, int node);
// A range of addresses [begin, end).
struct Span {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};
// The parts of this process in hugetlb pages, with their page size, ascending. Parts with no
// resident page may be left out. Empty if they cannot be found.
struct HugetlbMapping {
  Span span;
  std::size_t page_bytes = 0;
};
[[nodiscard]] std::vector<HugetlbMapping> hugetlb_mappings();
// The transparent huge page that is mapped at this address, or might be if that cannot be told; it
// moves as a whole. Empty if there is none.
[[nodiscard]] Span transparent_page_at(std::uintptr_t address);
// The parts of this process that map files of a file system, ascending (memory shared by name or
// descriptor does not count). Empty if they cannot be found.
[[nodiscard]] std::vector<Span> file_mappings();
// Where the pages are. Never fails: bytes with an unknown node are counted in unknown_bytes.
[[nodiscard]] Residency residency(const void* address, std::size_t length, const Pages& pages,
                                  Precision precision);
// The node of a resident base page, according to this one source. kUnsupported if the source does
// not exist or may not be used, kOther if it does not know.
Result<int> node_of_page(const void* page, Method method);

// One limit on the memory that this process may still use: its name, and how much is left.
struct Bound {
  std::string limit;
  std::optional<std::uint64_t> bytes;  // empty: there may be a limit, and its value is unknown
  std::string unknown;                 // then: why it is unknown
  // It applies only to memory without its own policy: the calling thread's memory policy.
  bool thread_policy = false;
  // Whose memory it counts: of all nodes, of these, or (a cgroup's limit) of no nodes.
  bool whole_machine = false;
  std::vector<int> nodes{};
};
// All limits, in no order: the machine's available memory, every limit of this process's cgroup and
// its ancestors, the nodes it may use, and the calling thread's policy.
[[nodiscard]] std::vector<Bound> memory_bounds();
// The limits on huge pages of this size, in bytes, which apply in addition to those of
// hugetlb_pools(). A page beyond them is a fault that cannot be handled. Empty if there are none.
[[nodiscard]] std::vector<Bound> hugetlb_bounds(std::size_t page_bytes);
Result<NodeRoom> node_room(int node);
// The free memory of a node that an ordinary request may take; the kernel keeps the rest in
// reserve. kUnsupported if the system does not tell.
Result<std::uint64_t> spare_bytes(int node);
// The system's interleave weight of each node in `nodes`. kUnsupported before Linux 6.9.
Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes);

}  // namespace numapool::platform
