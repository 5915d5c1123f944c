// Maps, discards and takes anew: VirtualAllocExNuma, and placeholders where there are some.
#include "platform/windows/mappings.hpp"

#include <string>

#include "platform/windows/large_pages.hpp"

namespace numapool::platform::windows {
namespace {

std::string length_text(std::size_t length) { return std::to_string(length) + " bytes"; }

DWORD kind_of(const Pages& pages) noexcept {
  return MEM_RESERVE | MEM_COMMIT | (pages.kind == PageKind::kHugetlb ? DWORD{MEM_LARGE_PAGES} : 0);
}

// Null, with the last error set, where the system has no such memory.
void* take(void* where, std::size_t length, const Pages& pages, std::optional<int> node) noexcept {
  const DWORD number = node ? static_cast<DWORD>(*node) : NUMA_NO_PREFERRED_NODE;
  return api().VirtualAllocExNuma(::GetCurrentProcess(), where, length, kind_of(pages),
                                  PAGE_READWRITE, number);
}

// The same over a placeholder, which is the only kind that can be turned back into one; null if the
// system has none.
void* take_placeholder(std::size_t length) noexcept {
  if (api().VirtualAlloc2 == nullptr) return nullptr;
  HANDLE const process = ::GetCurrentProcess();
  void* const held = api().VirtualAlloc2(
      process, nullptr, length, MEM_RESERVE | kMemReservePlaceholder, PAGE_NOACCESS, nullptr, 0);
  if (held == nullptr) return nullptr;
  void* const taken =
      api().VirtualAlloc2(process, held, length, MEM_RESERVE | MEM_COMMIT | kMemReplacePlaceholder,
                          PAGE_READWRITE, nullptr, 0);
  if (taken == nullptr) api().VirtualFree(held, 0, MEM_RELEASE);
  return taken;
}

// A placeholder keeps other code from using the addresses in between (Windows 10 1803). Empty if
// the system cannot do that; the range is then unchanged.
std::optional<DWORD> take_in_place(void* address, std::size_t length, std::optional<int> node,
                                   std::optional<int> before) noexcept {
  if (api().VirtualAlloc2 == nullptr) return std::nullopt;
  if (api().VirtualFree(address, length, MEM_RELEASE | kMemPreservePlaceholder) == FALSE)
    return std::nullopt;
  const auto replace = [&](std::optional<int> on) {
    ExtendedParameter parameter{kExtendedNumaNode, on ? static_cast<DWORD64>(*on) : 0};
    return api().VirtualAlloc2(::GetCurrentProcess(), address, length,
                               MEM_RESERVE | MEM_COMMIT | kMemReplacePlaceholder, PAGE_READWRITE,
                               on ? &parameter : nullptr, on ? 1 : 0) != nullptr;
  };
  if (replace(node)) return ERROR_SUCCESS;
  const DWORD error = ::GetLastError();
  if (replace(before)) return error;
  // The placeholder is a reservation like others: released, the addresses can be taken.
  api().VirtualFree(address, 0, MEM_RELEASE);
  const Pages base{PageKind::kBase, 0};
  return take(address, length, base, before) != nullptr ? error : DWORD{ERROR_INVALID_ADDRESS};
}

}  // namespace

Mappings& mappings() {
  static auto* const all = new Mappings;  // outlives every buffer of a program that ends
  return *all;
}

Result<void*> Mappings::map(std::size_t length, const Pages& pages) {
  if (pages.kind == PageKind::kTransparent)
    return no_such("map transparent huge pages", "Windows has none");
  if (pages.kind == PageKind::kHugetlb) {
    const Status allowed = require_large_pages();
    if (!allowed) return allowed.failure();
  }
  // Under the lock, so that this does not get addresses that another thread has given up and is
  // about to take again.
  const std::lock_guard guard(mutex_);
  void* address = pages.kind == PageKind::kBase ? take_placeholder(length) : nullptr;
  if (address == nullptr) address = take(nullptr, length, pages, std::nullopt);
  if (address == nullptr)
    return failed("VirtualAllocExNuma", ::GetLastError(), length_text(length));
  try {
    Mapping& one = all_[reinterpret_cast<std::uintptr_t>(address)];
    one = Mapping{};
    one.length = length;
    one.pages = pages;
  } catch (...) {
    api().VirtualFree(address, 0, MEM_RELEASE);
    throw;
  }
  return address;
}

Status Mappings::unmap(void* address, std::size_t length) {
  const std::lock_guard guard(mutex_);
  const auto found = all_.find(reinterpret_cast<std::uintptr_t>(address));
  if (found == all_.end() || found->second.length != length)
    return failed("VirtualFree", ERROR_INVALID_ADDRESS, length_text(length));
  if (!found->second.lost && api().VirtualFree(address, 0, MEM_RELEASE) == FALSE)
    return failed("VirtualFree(MEM_RELEASE)", ::GetLastError(), length_text(length));
  all_.erase(found);
  return Done{};
}

Mappings::Entry Mappings::find(const void* address, std::size_t length) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  auto at = all_.upper_bound(begin);
  if (at == all_.begin()) return all_.end();
  --at;
  const bool inside =
      begin - at->first <= at->second.length && length <= at->second.length - (begin - at->first);
  return inside && !at->second.lost ? at : all_.end();
}

// Without placeholders there is an instant in which others in the process may take the addresses;
// then they are not ours any more, and the failure says so.
Status Mappings::take_anew(void* address, Mapping& mapping, std::optional<int> node) {
  const std::string on = (node ? "node " + std::to_string(*node) : std::string("no node")) + ", " +
                         length_text(mapping.length);
  if (mapping.pages.kind == PageKind::kBase) {
    if (const auto error = take_in_place(address, mapping.length, node, mapping.node)) {
      mapping.lost = *error == ERROR_INVALID_ADDRESS;
      if (*error != ERROR_SUCCESS) return failed("VirtualAlloc2", *error, on);
      mapping.node = node;
      mapping.has_contents = false;
      return Done{};
    }
  }
  if (api().VirtualFree(address, 0, MEM_RELEASE) == FALSE)
    return failed("VirtualFree(MEM_RELEASE)", ::GetLastError(), on);
  mapping.has_contents = false;
  if (take(address, mapping.length, mapping.pages, node) != nullptr) {
    mapping.node = node;
    return Done{};
  }
  const DWORD error = ::GetLastError();
  if (take(address, mapping.length, mapping.pages, mapping.node) == nullptr) {
    mapping.lost = true;
    return Failure{Cause::kNoMemory, "VirtualAllocExNuma", errno_of(ERROR_NOT_ENOUGH_MEMORY),
                   on + "; the addresses could not be had back: " + error_text(error)};
  }
  return failed("VirtualAllocExNuma", error, on);
}

Status Mappings::discard(void* address, std::size_t length) {
  const std::lock_guard guard(mutex_);
  const Entry found = find(address, length);
  if (found == all_.end()) return failed("VirtualFree", ERROR_INVALID_ADDRESS, length_text(length));
  Mapping& mapping = found->second;
  const bool whole = mapping.length == length;
  if (mapping.pages.kind == PageKind::kHugetlb) {
    if (!whole) return no_such("discard", "Windows gives large pages back as a whole only");
    return take_anew(address, mapping, mapping.wanted ? mapping.wanted : mapping.node);
  }
  if (whole && mapping.wanted && mapping.wanted != mapping.node)
    return take_anew(address, mapping, mapping.wanted);
  if (api().VirtualFree(address, length, MEM_DECOMMIT) == FALSE)
    return failed("VirtualFree(MEM_DECOMMIT)", ::GetLastError(), length_text(length));
  if (whole) mapping.has_contents = false;
  if (api().VirtualAllocExNuma(::GetCurrentProcess(), address, length, MEM_COMMIT, PAGE_READWRITE,
                               NUMA_NO_PREFERRED_NODE) == nullptr) {
    return failed("VirtualAllocExNuma(MEM_COMMIT)", ::GetLastError(), length_text(length));
  }
  return Done{};
}

Status Mappings::prefer(void* address, std::size_t length, int node) {
  const std::lock_guard guard(mutex_);
  const Entry found = find(address, length);
  if (found == all_.end() || found->second.length != length) {
    return no_such("set_policy",
                   "Windows ties a node to memory when it is reserved, so that only whole mappings "
                   "of numapool's own can be told one");
  }
  Mapping& mapping = found->second;
  ULONG highest = 0;
  // Reserved on a node that cannot be, the addresses would be lost first.
  if (node < 0 || (api().GetNumaHighestNodeNumber(&highest) != FALSE && highest != 0 &&
                   static_cast<ULONG>(node) > highest)) {
    return failed("VirtualAllocExNuma", ERROR_INVALID_PARAMETER, "node " + std::to_string(node));
  }
  if (mapping.node != node && !mapping.has_contents) {
    Status taken = take_anew(address, mapping, node);
    if (!taken) return taken;
  }
  mapping.wanted = node;
  return Done{};
}

Status Mappings::prepare(void* address, std::size_t length) {
  const std::lock_guard guard(mutex_);
  const Entry found = find(address, length);
  if (found == all_.end()) return Done{};  // memory of others: there as it is
  found->second.has_contents = true;
  if (found->second.pages.kind == PageKind::kHugetlb) return Done{};
  if (api().VirtualAllocExNuma(::GetCurrentProcess(), address, length, MEM_COMMIT, PAGE_READWRITE,
                               NUMA_NO_PREFERRED_NODE) == nullptr) {
    return failed("VirtualAllocExNuma(MEM_COMMIT)", ::GetLastError(), length_text(length));
  }
  return Done{};
}

}  // namespace numapool::platform::windows
