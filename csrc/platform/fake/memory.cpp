// The scripted machine's memory: real bytes, and a page table that says which node each page is on.
#include "platform/memory.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "platform/fake/memory_script.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kBasePage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Range {
  std::size_t length = 0;
  Pages pages;
  bool huge_forbidden = false;
  Policy policy = Policy::kPreferred;
  std::vector<int> nodes;
};

// The page table and the mappings. Lock order: a leaf.
struct Machine {
  std::recursive_mutex mutex;
  fake::MemoryScript script;
  std::map<std::uintptr_t, Range> ranges;
  std::map<std::uintptr_t, int> node_of_page;
};

Machine& machine() {
  static Machine instance;
  return instance;
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

std::optional<Failure> scripted(const char* call) {
  Machine& m = machine();
  ++m.script.calls[call];
  const auto found = m.script.failures.find(call);
  if (found == m.script.failures.end()) return std::nullopt;
  return found->second;
}

Range& range_of(std::uintptr_t address) {
  auto after = machine().ranges.upper_bound(address);
  return std::prev(after)->second;
}

// Takes a page from `node`, clean cache only where the caller may reclaim.
bool take(int node, bool reclaim) {
  const auto found = machine().script.rooms.find(node);
  if (found == machine().script.rooms.end()) return false;
  NodeRoom& room = found->second;
  if (room.free_bytes >= kBasePage) {
    room.free_bytes -= kBasePage;
    return true;
  }
  if (!reclaim || room.clean_file_bytes < kBasePage) return false;
  room.clean_file_bytes -= kBasePage;
  return true;
}

void give_back(std::uintptr_t page) {
  Machine& m = machine();
  const auto found = m.node_of_page.find(page);
  if (found == m.node_of_page.end()) return;
  m.script.rooms[found->second].free_bytes += kBasePage;
  m.node_of_page.erase(found);
}

int place(const Range& range, std::uintptr_t page) {
  Machine& m = machine();
  if (range.nodes.empty()) return -1;
  if (range.policy == Policy::kBind) m.script.allocated_under_bind = true;
  std::size_t index = 0;
  if (range.policy == Policy::kInterleave) index = page / kBasePage % range.nodes.size();
  const int first = range.nodes[index];
  if (m.script.huge_pages_only_on && range.pages.kind == PageKind::kTransparent &&
      !range.huge_forbidden && take(*m.script.huge_pages_only_on, false)) {
    return *m.script.huge_pages_only_on;
  }
  if (take(first, false)) return first;
  for (const int next : m.script.fallback[first]) {
    if (take(next, false)) return next;
  }
  return take(first, true) ? first : -1;
}

template <class Visit>
void for_each_page(const void* address, std::size_t length, const Visit& visit) {
  for (std::size_t at = 0; at < length; at += kBasePage) visit(number(address) + at);
}

}  // namespace

namespace fake {

MemoryScript& memory_script() { return machine().script; }
void reset_memory() {
  const std::lock_guard guard(machine().mutex);
  machine().script = {};
  machine().node_of_page.clear();
}
std::size_t live_mappings() {
  const std::lock_guard guard(machine().mutex);
  return machine().ranges.size();
}

}  // namespace fake

bool has_numa() noexcept { return true; }
std::size_t base_page_bytes() noexcept { return kBasePage; }
std::size_t transparent_page_bytes() noexcept { return kHugePage; }
std::vector<HugetlbPool> hugetlb_pools() { return {{kHugePage, 0, 0}}; }
std::string hugetlb_reserve_hint(std::size_t) { return "reserve some on the scripted machine"; }

Result<void*> map(std::size_t length, const Pages& pages) {
  const std::lock_guard guard(machine().mutex);
  if (auto failure = scripted("map")) return *failure;
  if (pages.kind == PageKind::kHugetlb)
    return Failure{Cause::kNoMemory, "mmap", 12, "no huge pages"};
  void* const address = ::operator new(length, std::align_val_t{pages.bytes}, std::nothrow);
  if (address == nullptr) return Failure{Cause::kNoMemory, "mmap", 12, {}};
  std::memset(address, 0, length);
  machine().ranges[number(address)] = Range{length, pages, false, Policy::kPreferred, {}};
  return address;
}

Status unmap(void* address, std::size_t length) {
  const std::lock_guard guard(machine().mutex);
  for_each_page(address, length, give_back);
  const auto found = machine().ranges.find(number(address));
  const std::size_t alignment = found->second.pages.bytes;
  machine().ranges.erase(found);
  ::operator delete(address, std::align_val_t{alignment});
  return Done{};
}

Status discard(void* address, std::size_t length) {
  const std::lock_guard guard(machine().mutex);
  if (auto failure = scripted("discard")) return *failure;
  for_each_page(address, length, give_back);
  std::memset(address, 0, length);
  return Done{};
}

Status forbid_huge_pages(void* address, std::size_t) {
  const std::lock_guard guard(machine().mutex);
  if (auto failure = scripted("forbid_huge_pages")) return *failure;
  range_of(number(address)).huge_forbidden = true;
  return Done{};
}

Status lock(void*, std::size_t, bool) {
  const std::lock_guard guard(machine().mutex);
  if (auto failure = scripted("lock")) return *failure;
  return Done{};
}

Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted("set_policy")) return *failure;
  for (const int node : nodes) {
    if (!m.script.rooms.contains(node))
      return Failure{Cause::kInvalid, "mbind", 22, "node " + std::to_string(node)};
  }
  Range& range = range_of(number(address));
  range.policy = policy;
  range.nodes.assign(nodes.begin(), nodes.end());
  if (!move) return Done{};
  bool stayed = false;
  for_each_page(address, length, [&](std::uintptr_t page) {
    const auto found = m.node_of_page.find(page);
    if (found == m.node_of_page.end() || found->second == nodes.front()) return;
    if (!take(nodes.front(), true)) {
      stayed = true;
      return;
    }
    m.script.rooms[found->second].free_bytes += kBasePage;
    found->second = nodes.front();
  });
  if (stayed) return Failure{Cause::kPartial, "mbind", 5, {}};
  return Done{};
}

Status populate(void* address, std::size_t length, const Pages&) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted("populate")) return *failure;
  const Range& range = range_of(number(address));
  bool full = false;
  for_each_page(address, length, [&](std::uintptr_t page) {
    if (full || m.node_of_page.contains(page)) return;
    const int node = range.nodes.empty() ? m.script.current_node : place(range, page);
    full = node < 0;
    if (!full) m.node_of_page[page] = node;
  });
  if (full) return Failure{Cause::kNoMemory, "madvise(MADV_POPULATE_WRITE)", 12, {}};
  return Done{};
}

Status move_to_node(void* address, std::size_t length, const Pages&, int node) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted("move_to_node")) return *failure;
  for_each_page(address, length, [&](std::uintptr_t page) {
    const auto found = m.node_of_page.find(page);
    if (found == m.node_of_page.end() || found->second == node || !take(node, true)) return;
    m.script.rooms[found->second].free_bytes += kBasePage;
    found->second = node;
  });
  return Done{};
}

Residency residency(const void* address, std::size_t length, const Pages& pages, Precision) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  Residency out;
  out.page_bytes = pages.bytes;
  std::map<int, std::uint64_t> bytes;
  for_each_page(address, length, [&](std::uintptr_t page) {
    const auto found = m.node_of_page.find(page);
    if (found == m.node_of_page.end()) {
      out.not_resident_bytes += kBasePage;
    } else if (m.script.pages_hidden) {
      out.unknown_bytes += kBasePage;
    } else {
      bytes[found->second] += kBasePage;
    }
  });
  out.bytes_by_node.assign(bytes.begin(), bytes.end());
  if (!m.script.pages_hidden) out.method = Method::kMovePages;
  return out;
}

Result<Available> available() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted("available")) return *failure;
  std::uint64_t sum = 0;
  for (const auto& [node, room] : m.script.rooms) sum += room.free_bytes + room.clean_file_bytes;
  return Available{m.script.available_bytes.value_or(sum), "the scripted machine"};
}

Result<NodeRoom> node_room(int node) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted("node_room")) return *failure;
  const auto found = m.script.rooms.find(node);
  if (found == m.script.rooms.end())
    return Failure{Cause::kOther, "open", 2, "node " + std::to_string(node)};
  return found->second;
}

Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (m.script.weights.empty())
    return Failure{Cause::kUnsupported, "open", 2, "weighted_interleave"};
  std::vector<unsigned> out;
  for (const int node : nodes) out.push_back(m.script.weights[node]);
  return out;
}

}  // namespace numapool::platform
