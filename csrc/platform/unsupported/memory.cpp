// Memory where the system is unknown: the C library's, on whatever node it comes from. Nothing is
// placed.
#include "platform/memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "platform/huge_pages.hpp"
#include "platform/unsupported/machine.hpp"

namespace numapool::platform {
namespace {

Failure no_such(const char* job) { return {Cause::kUnsupported, job, 0, {}}; }

// The word before each mapping holds what calloc returned for it.
void** origin_of(void* address) { return static_cast<void**>(address) - 1; }

}  // namespace

bool has_numa() noexcept { return false; }

bool has_preferred_many() noexcept { return false; }

std::size_t base_page_bytes() noexcept { return unsupported::page_bytes(); }

std::uint64_t transparent_sizes() noexcept { return 0; }
std::size_t whole_entry_bytes() noexcept { return 0; }

std::vector<HugetlbPool> hugetlb_pools() { return {}; }

std::vector<TransparentState> transparent_states(const std::string&) { return {}; }
std::vector<HugetlbReserve> hugetlb_reserves(const std::string&) { return {}; }
std::string transparent_hint() { return "numapool knows no way to ask for them on this system"; }

std::string hugetlb_reserve_hint(std::size_t) {
  return "numapool knows no way to reserve huge pages on this system";
}

// calloc, so that large blocks come as untouched zero pages where the C library can do that.
Result<void*> map(std::size_t length, const Pages& pages) {
  if (pages.kind == PageKind::kHugetlb) return no_such("map huge pages");
  const std::size_t page = base_page_bytes();
  const std::size_t extra = page + sizeof(void*);
  constexpr std::size_t most = PTRDIFF_MAX;
  void* const origin = length <= most - extra ? std::calloc(1, length + extra) : nullptr;
  if (origin == nullptr) {
    return Failure{Cause::kNoMemory, "calloc", 0, std::to_string(length) + " bytes"};
  }
  const auto first = reinterpret_cast<std::uintptr_t>(origin) + sizeof(void*);
  void* const address = static_cast<char*>(origin) + sizeof(void*) + (page - first % page) % page;
  *origin_of(address) = origin;
  return address;
}

Status unmap(void* address, std::size_t) {
  std::free(*origin_of(address));
  return Done{};
}

Status discard(void*, std::size_t) { return no_such("discard"); }

Status forbid_huge_pages(void*, std::size_t) { return no_such("forbid_huge_pages"); }

Status lock(void*, std::size_t, bool) { return no_such("lock"); }

Status keep_out_of_dumps(void*, std::size_t) { return no_such("keep_out_of_dumps"); }

Status set_policy(void*, std::size_t, Policy, std::span<const int>, bool) {
  return no_such("set_policy");
}

Status populate(void* address, std::size_t length, const Pages&) {
  auto* const bytes = static_cast<volatile char*>(address);
  const std::size_t page = base_page_bytes();
  for (std::size_t at = 0; at < length; at += page) bytes[at] = bytes[at];
  return Done{};
}

Result<std::uint64_t> move_to_node(void*, std::size_t, const Pages&, int) {
  return no_such("move_to_node");
}

Result<MoveTally> move_resident(void*, std::size_t, const Pages&, int) {
  return no_such("move_resident");
}

std::vector<Span> file_mappings() { return {}; }

std::vector<HugetlbMapping> hugetlb_mappings() { return {}; }

// Nothing is moved here.
Span transparent_page_at(std::uintptr_t) { return {}; }

// Whether a page is resident cannot be told either, so all of it counts as somewhere.
Residency residency(const void*, std::size_t length, const Pages&, Precision) {
  Residency all;
  all.unknown_bytes = length;
  all.page_bytes = base_page_bytes();
  return all;
}

Result<int> node_of_page(const void*, Method) { return no_such("node_of_page"); }

std::vector<Bound> memory_bounds() { return {}; }
std::vector<Bound> hugetlb_bounds(std::size_t) { return {}; }

Result<NodeRoom> node_room(int) { return no_such("node_room"); }

Result<std::uint64_t> spare_bytes(int) { return no_such("spare_bytes"); }

Result<std::vector<unsigned>> interleave_weights(std::span<const int>) {
  return no_such("interleave_weights");
}

}  // namespace numapool::platform
