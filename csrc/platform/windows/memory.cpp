// Memory on Windows: mapped, preferred, populated and locked. Windows prefers a node; it binds to
// none, moves no page and interleaves nothing, and those calls say so.
#include "platform/memory.hpp"

#include <algorithm>
#include <string>

#include "platform/huge_pages.hpp"
#include "platform/windows/mappings.hpp"
#include "platform/windows/nodes.hpp"

namespace numapool::platform {

using windows::api;
using windows::failed;
using windows::no_such;

bool has_numa() noexcept { return true; }

bool has_preferred_many() noexcept { return false; }

std::size_t base_page_bytes() noexcept {
  static const std::size_t bytes = [] {
    SYSTEM_INFO info{};
    ::GetSystemInfo(&info);
    return static_cast<std::size_t>(info.dwPageSize);
  }();
  return bytes;
}

std::uint64_t transparent_sizes() noexcept { return 0; }
std::size_t whole_entry_bytes() noexcept { return 0; }

std::vector<TransparentState> transparent_states(const std::string&) { return {}; }

std::vector<HugetlbReserve> hugetlb_reserves(const std::string&) { return {}; }

std::string transparent_hint() {
  return "Windows makes none of its own accord; ask for large pages by their size in bytes";
}

Result<void*> map(std::size_t length, const Pages& pages) {
  return windows::mappings().map(length, pages);
}

Status unmap(void* address, std::size_t length) {
  return windows::mappings().unmap(address, length);
}

Status discard(void* address, std::size_t length) {
  return windows::mappings().discard(address, length);
}

Status forbid_huge_pages(void*, std::size_t) {
  return no_such("forbid_huge_pages", "Windows has no transparent huge pages");
}

Status lock(void* address, std::size_t length, bool resident_now) {
  if (!resident_now) {
    return no_such("lock",
                   "VirtualLock makes every page resident at once: lock=True needs "
                   "populate=True on Windows");
  }
  const std::string bytes = std::to_string(length) + " bytes";
  if (api().VirtualLock(address, length) != FALSE) return Done{};
  const DWORD error = ::GetLastError();
  if (error != ERROR_WORKING_SET_QUOTA && error != ERROR_NO_SYSTEM_RESOURCES)
    return failed("VirtualLock", error, bytes);
  // As much as the working set's minimum can be locked: make it larger.
  SIZE_T least = 0;
  SIZE_T most = 0;
  DWORD flags = 0;
  HANDLE const process = ::GetCurrentProcess();
  if (api().GetProcessWorkingSetSizeEx(process, &least, &most, &flags) == FALSE)
    return failed("GetProcessWorkingSetSizeEx", ::GetLastError(), bytes);
  least += length + (SIZE_T{1} << 20);
  most = std::max(most, least + (SIZE_T{1} << 20));
  if (api().SetProcessWorkingSetSizeEx(process, least, most, flags) == FALSE) {
    return failed("SetProcessWorkingSetSizeEx", ::GetLastError(),
                  bytes + " beyond what the working set may lock");
  }
  if (api().VirtualLock(address, length) != FALSE) return Done{};
  return failed("VirtualLock", ::GetLastError(), bytes);
}

Status keep_out_of_dumps(void*, std::size_t) {
  return no_such("keep_out_of_dumps", "on Windows whoever writes a dump decides what is in it");
}

Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move) {
  if (move) return no_such("move pages", "Windows moves no pages between nodes");
  if (policy != Policy::kPreferred || nodes.size() != 1) {
    return no_such(policy == Policy::kBind ? "bind" : "interleave",
                   "Windows knows one preferred node per mapping");
  }
  return windows::mappings().prefer(address, length, nodes.front());
}

// A new page of a mapping is zero; a page with an owner's bytes gets them back.
Status populate(void* address, std::size_t length, const Pages& pages) {
  Status ready = windows::mappings().prepare(address, length);
  if (!ready) return ready;
  auto* const bytes = static_cast<volatile char*>(address);
  const std::size_t step = pages.kind == PageKind::kHugetlb ? pages.bytes : base_page_bytes();
  for (std::size_t at = 0; at < length; at += step) bytes[at] = bytes[at];
  return Done{};
}

Result<std::uint64_t> move_to_node(void*, std::size_t, const Pages&, int) {
  return no_such("move_to_node",
                 "Windows moves no pages between nodes; allocate on the other node "
                 "and copy");
}

Result<MoveTally> move_resident(void*, std::size_t, const Pages&, int) {
  return no_such("move_resident", "Windows moves no pages between nodes");
}

std::vector<Span> file_mappings() { return {}; }

std::vector<HugetlbMapping> hugetlb_mappings() { return {}; }

// Nothing is moved here.
Span transparent_page_at(std::uintptr_t) { return {}; }

Result<NodeRoom> node_room(int node) {
  const auto free = windows::free_bytes_of(node);
  if (!free) return free.failure();
  return NodeRoom{free.value(), 0};  // what Windows calls available has the droppable cache in it
}

Result<std::uint64_t> spare_bytes(int) {
  return no_such("spare_bytes", "Windows counts its reserve as not available");
}

Result<std::vector<unsigned>> interleave_weights(std::span<const int>) {
  return no_such("interleave_weights", "Windows interleaves nothing");
}

}  // namespace numapool::platform
