// What an operating system must provide to map memory, place it and say where it is.
//
// Every function is thread-safe, keeps no pointer it is given, reports failure by value and throws
// nothing but std::bad_alloc (a Failure has words in it). Addresses and lengths are multiples of
// the page size of the mapping. Nothing here prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

enum class PageKind { kBase, kTransparent, kHugetlb };

// `bytes` is what one page of this kind spans: the base page, the transparent huge page, or the
// hugetlb size.
struct Pages {
  PageKind kind = PageKind::kBase;
  std::size_t bytes = 0;
};

enum class Policy {
  kPreferred,      // this node first, others when it has none free; never the OOM killer's reason
  kPreferredMany,  // the same of several: the nearest to who touches the page
                   // (has_preferred_many())
  kBind,           // these nodes or nothing: only ever for memory whose pages are all resident
  kInterleave,     // page by page over the nodes
  kWeightedInterleave,  // the same by the system's weights (Linux 6.9)
};

// Who was asked where the pages are, best first.
enum class Method { kMovePages, kGetMempolicy, kNumaMaps, kQueryWorkingSet, kOnlyNode, kUnknown };

// kSampled looks at every huge page but only at one base page in 64 (256 KiB): for the allocator's
// own look.
enum class Precision { kExact, kSampled };

// Where the pages of a range are. Under kSampled the bytes are scaled up from the pages looked at.
struct Residency {
  std::vector<std::pair<int, std::uint64_t>> bytes_by_node;  // ascending node id, no zeros
  std::uint64_t not_resident_bytes = 0;
  std::uint64_t unknown_bytes = 0;  // resident, node not known
  std::size_t page_bytes = 0;       // the largest page met; the base page where nothing is resident
  Method method = Method::kUnknown;
};

struct HugetlbPool {
  std::size_t page_bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// What a node could still hold: free pages, and clean file pages that reclaim can drop at once.
struct NodeRoom {
  std::uint64_t free_bytes = 0;
  std::uint64_t clean_file_bytes = 0;
};

// Whether this system places memory by node at all (false: every policy call answers kUnsupported).
[[nodiscard]] bool has_numa() noexcept;

// Whether it takes Policy::kPreferredMany (Linux 5.15).
[[nodiscard]] bool has_preferred_many() noexcept;

[[nodiscard]] std::size_t base_page_bytes() noexcept;
// The transparent huge page size, 0 where they are off or unknown to the system.
[[nodiscard]] std::size_t transparent_page_bytes() noexcept;
// Why there are none and what an administrator could do, for error messages.
[[nodiscard]] std::string transparent_hint();
// Every huge page size that the machine knows, ascending; `total` 0 where none are reserved.
[[nodiscard]] std::vector<HugetlbPool> hugetlb_pools();
// Where an administrator reserves pages of that size, for error messages.
[[nodiscard]] std::string hugetlb_reserve_hint(std::size_t page_bytes);

// Maps `length` bytes of private zeroed memory aligned to the page size, no page resident.
// kNoMemory also when no huge pages are reserved.
Result<void*> map(std::size_t length, const Pages& pages);
Status unmap(void* address, std::size_t length);
// Gives the pages back to the system and keeps the mapping, its policy and its advice; they read as
// zero afterwards. Locked memory stays locked: its new pages are, as they are touched. kInvalid
// where the system takes pages of this kind back with their mapping only (hugetlb before Linux
// 5.18).
Status discard(void* address, std::size_t length);
// From here on only base pages are used for new pages of the range (a transparent mapping's).
Status forbid_huge_pages(void* address, std::size_t length);
// Page-locks the range. `resident_now` false locks each page when it is first touched.
Status lock(void* address, std::size_t length, bool resident_now);

// Leaves a whole mapping out of core dumps, for good.
Status keep_out_of_dumps(void* address, std::size_t length);

// Sets the policy of the range for pages to come. With `move`, resident pages elsewhere are moved
// as far as the policy's nodes can take them (after reclaiming clean cache there); kPartial where
// some stayed.
Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move);
// Makes every page of the range resident and writable, in the calling thread, zero where new.
Status populate(void* address, std::size_t length, const Pages& pages);
// Moves resident pages to `node` as far as it takes them, without changing the policy and without
// risk to the contents. Succeeds when the system did what it could.
Status move_to_node(void* address, std::size_t length, const Pages& pages, int node);
// What became of pages that were to be moved, in bytes; nothing that is there already is counted.
struct MoveTally {
  std::uint64_t shared_bytes = 0;  // other processes have these pages, too
  std::uint64_t busy_bytes = 0;    // in use by the kernel or a device at the moment
  std::uint64_t full_bytes = 0;    // the node has no room
  std::uint64_t other_bytes = 0;   // the system moves no such pages
};
// Moves the resident pages of a range that anybody may have mapped; policies stay. `pages` says how
// they are mapped (hugetlb or not); a hugetlb page that reaches beyond the range is moved whole.
// kUnsupported or kRefused where the system does not let us.
Result<MoveTally> move_resident(void* address, std::size_t length, const Pages& pages, int node);
// A range of addresses [begin, end).
struct Span {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};
// The parts of this process in hugetlb pages, and the size of these, ascending; those of which no
// page is resident may be left out. Empty where that cannot be told.
struct HugetlbMapping {
  Span span;
  std::size_t page_bytes = 0;
};
[[nodiscard]] std::vector<HugetlbMapping> hugetlb_mappings();
// The transparent huge page that is mapped at this address now, or may be where that cannot be
// told: it moves as one. Empty where there is none.
[[nodiscard]] Span transparent_page_at(std::uintptr_t address);
// The parts of this process that map files of a file system (memory shared by name or descriptor
// is none), ascending; empty where that cannot be told.
[[nodiscard]] std::vector<Span> file_mappings();
// Where the pages are. Never fails: what cannot be told is counted as unknown_bytes.
[[nodiscard]] Residency residency(const void* address, std::size_t length, const Pages& pages,
                                  Precision precision);
// The node of a resident base page, as this one witness says; kUnsupported where it does not exist
// or may not be asked, kOther where it cannot tell.
Result<int> node_of_page(const void* page, Method method);

// One bound on the memory that this process may still use: what bounds it, and how much is left.
struct Bound {
  std::string limit;
  std::optional<std::uint64_t> bytes;  // nothing: there is a bound, or may be, and it is not known
  std::string unknown;                 // then: why not
  // It holds for memory without a policy of its own alone: the calling thread's memory policy.
  bool thread_policy = false;
};
// All of them: the machine's available memory, every limit of this process's cgroup and the
// cgroup's ancestors, the nodes it is allowed, and the calling thread's policy. In no order.
[[nodiscard]] std::vector<Bound> memory_bounds();
// The limits on huge pages of this size, in bytes, which hold beside those of hugetlb_pools(): a
// page that passes them is a fault that cannot be handled. Empty where there are none.
[[nodiscard]] std::vector<Bound> hugetlb_bounds(std::size_t page_bytes);
Result<NodeRoom> node_room(int node);
// The free memory of a node that an ordinary request may take; the rest is the kernel's reserve.
// kUnsupported where the system does not tell.
Result<std::uint64_t> spare_bytes(int node);
// The system's interleave weight of each node in `nodes`; kUnsupported before Linux 6.9.
Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes);

}  // namespace numapool::platform
