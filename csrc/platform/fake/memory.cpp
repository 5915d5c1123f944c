// The scripted machine's memory: real bytes, and a page table that says which node each page is on.
#include "platform/memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "platform/fake/machine.hpp"
#include "platform/huge_pages.hpp"

namespace numapool::platform {
namespace {

using fake::kBasePage;
using fake::kNowhere;
using fake::Machine;
using fake::machine;
using fake::Part;
using fake::Range;
using fake::scripted;

// As much as a 47-bit address space; more is refused without asking the C library.
constexpr std::size_t kAddressSpace = std::size_t{1} << 47;

std::string length_text(std::size_t length) { return std::to_string(length) + " bytes"; }

Failure no_memory(const char* call, std::size_t length) {
  return {Cause::kNoMemory, call, ENOMEM, length_text(length)};
}

Failure bad_range(const char* call) { return {Cause::kInvalid, call, EINVAL, "no such mapping"}; }

// One call on one part of a mapping: the script's failure, the misuse, or the body's result.
template <class Body>
Status on_part(const char* call, void* address, std::size_t length, const Body& body) {
  Machine& m = machine();
  if (m.script.turn) m.script.turn();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, call)) return *failure;
  const auto part = fake::part_of(m, address, length);
  if (!part) return bad_range(call);
  return body(m, *part);
}

HugetlbPool* pool_of(Machine& m, const Pages& pages) {
  const auto found = std::find_if(
      m.script.hugetlb.begin(), m.script.hugetlb.end(),
      [&](const HugetlbPool& candidate) { return candidate.page_bytes == pages.bytes; });
  return found == m.script.hugetlb.end() ? nullptr : &*found;
}

}  // namespace

bool has_numa() noexcept { return true; }
bool has_preferred_many() noexcept { return machine().script.preferred_many; }
std::size_t base_page_bytes() noexcept { return kBasePage; }
std::uint64_t transparent_sizes() noexcept { return machine().script.transparent_sizes; }
std::size_t whole_entry_bytes() noexcept { return fake::kHugePage; }
std::vector<HugetlbPool> hugetlb_pools() {
  const std::lock_guard guard(machine().mutex);
  return machine().script.hugetlb;
}
std::vector<TransparentState> transparent_states(const std::string&) {
  const bool on = transparent_sizes() != 0;
  return {{fake::kHugePage, on ? "madvise" : "never", "the script", false, on, true}};
}
std::vector<HugetlbReserve> hugetlb_reserves(const std::string&) {
  std::vector<HugetlbReserve> reserves;
  for (const HugetlbPool& pool : hugetlb_pools()) {
    reserves.push_back({pool.page_bytes, pool.total, pool.free, 0, {}});
  }
  return reserves;
}
std::string transparent_hint() { return "switch them on in the script"; }

std::string hugetlb_reserve_hint(std::size_t) { return "reserve some on the scripted machine"; }

// calloc, so that a large mapping costs nothing until its bytes are written.
Result<void*> map(std::size_t length, const Pages& pages) {
  Machine& m = machine();
  if (m.script.turn) m.script.turn();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, "map")) return *failure;
  if (length == 0 || length % kBasePage != 0) ++m.script.misuses;
  if (length > kAddressSpace) return no_memory("mmap", length);
  HugetlbPool* const pool = pages.kind == PageKind::kHugetlb ? pool_of(m, pages) : nullptr;
  if (pages.kind == PageKind::kHugetlb &&
      (pool == nullptr || pool->free * pages.bytes < std::uint64_t{length})) {
    return no_memory("mmap", length);
  }
  std::unique_ptr<void, decltype(&std::free)> origin(std::calloc(1, length + pages.bytes),
                                                     &std::free);
  if (!origin) return no_memory("mmap", length);
  const auto at = reinterpret_cast<std::uintptr_t>(origin.get());
  const std::uintptr_t address = at + (pages.bytes - at % pages.bytes) % pages.bytes;
  std::vector<int> nowhere(length / kBasePage, kNowhere);
  Range& range = m.ranges[address];
  if (pool != nullptr) pool->free -= length / pages.bytes;
  range.length = length;
  range.pages = pages;
  range.node_of_page = std::move(nowhere);
  range.origin = origin.release();
  return reinterpret_cast<void*>(address);
}

Status unmap(void* address, std::size_t length) {
  return on_part("unmap", address, length, [&](Machine& m, const Part& part) -> Status {
    if (part.range->length != length) {
      ++m.script.misuses;
      return bad_range("unmap");
    }
    for (std::size_t page = part.first; page < part.last; ++page)
      fake::give_back(m, *part.range, page);
    if (part.range->pages.kind == PageKind::kHugetlb) {
      HugetlbPool* const pool = pool_of(m, part.range->pages);
      if (pool != nullptr) pool->free += length / part.range->pages.bytes;
    }
    std::free(part.range->origin);
    m.ranges.erase(reinterpret_cast<std::uintptr_t>(address));
    return Done{};
  });
}

Status discard(void* address, std::size_t length) {
  return on_part("discard", address, length, [&](Machine& m, const Part& part) -> Status {
    for (std::size_t page = part.first; page < part.last; ++page)
      fake::give_back(m, *part.range, page);
    std::memset(address, 0, length);
    return Done{};
  });
}

Status forbid_huge_pages(void* address, std::size_t length) {
  return on_part("forbid_huge_pages", address, length, [](Machine&, const Part& part) -> Status {
    part.range->huge_forbidden = true;
    return Done{};
  });
}

Status lock(void* address, std::size_t length, bool) {
  return on_part("lock", address, length, [](Machine&, const Part&) -> Status { return Done{}; });
}

Status keep_out_of_dumps(void* address, std::size_t length) {
  return on_part("keep_out_of_dumps", address, length, [](Machine&, const Part& part) -> Status {
    part.range->dumped = false;
    return Done{};
  });
}

// Nodes that are offline or not allowed drop out of a policy; none left is EINVAL. mbind(2).
Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move) {
  return on_part("set_policy", address, length, [&](Machine& m, const Part& part) -> Status {
    std::vector<int> valid;
    std::string text = "node ";
    for (const int node : nodes) {
      text += std::to_string(node) + " ";
      if (m.script.rooms.contains(node) && !m.script.not_allowed.contains(node))
        valid.push_back(node);
    }
    const bool unknown = policy == Policy::kPreferredMany && !m.script.preferred_many;
    if (valid.empty() || unknown) return Failure{Cause::kInvalid, "mbind", EINVAL, text};
    m.script.policies.push_back({policy, valid, move});
    std::sort(m.script.policies.back().nodes.begin(), m.script.policies.back().nodes.end());
    Range& range = *part.range;
    range.policy = policy;
    range.nodes = valid;
    if (!move) return Done{};
    bool stayed = false;
    for (std::size_t page = part.first; page < part.last; ++page)
      stayed = !fake::move_into(m, range, page, valid) || stayed;
    if (stayed) return Failure{Cause::kPartial, "mbind", EIO, text};
    return Done{};
  });
}

Status populate(void* address, std::size_t length, const Pages&) {
  return on_part("populate", address, length, [&](Machine& m, const Part& part) -> Status {
    const int toucher = fake::node_of_this_thread(m.script);
    for (std::size_t page = part.first; page < part.last; ++page) {
      if (!fake::make_resident(m, *part.range, page, toucher))
        return no_memory("madvise(MADV_POPULATE_WRITE)", length);
    }
    return Done{};
  });
}

Result<std::uint64_t> move_to_node(void* address, std::size_t length, const Pages&, int node) {
  std::uint64_t there = 0;
  const Status done =
      on_part("move_to_node", address, length, [&](Machine& m, const Part& part) -> Status {
        for (std::size_t page = part.first; page < part.last; ++page) {
          fake::move_page(m, *part.range, page, node);
          if (part.range->node_of_page[page] == node) there += kBasePage;
        }
        return Done{};
      });
  if (!done) return done.failure();
  return there;
}

Result<MoveTally> move_resident(void* address, std::size_t length, const Pages&, int node) {
  MoveTally tally;
  const Status done =
      on_part("move_resident", address, length, [&](Machine& m, const Part& part) -> Status {
        for (std::size_t page = part.first; page < part.last; ++page) {
          fake::move_page(m, *part.range, page, node);
          const int now = part.range->node_of_page[page];
          if (now == node) tally.there_bytes += kBasePage;
          if (now != kNowhere && now != node) tally.full_bytes += kBasePage;
        }
        return Done{};
      });
  if (!done) return done.failure();
  return tally;
}

std::vector<Span> file_mappings() { return {}; }

std::vector<HugetlbMapping> hugetlb_mappings() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  std::vector<HugetlbMapping> out;
  for (const auto& [begin, range] : m.ranges) {
    if (range.pages.kind == PageKind::kHugetlb)
      out.push_back({{begin, begin + range.length}, range.pages.bytes});
  }
  return out;
}

Span transparent_page_at(std::uintptr_t address) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  const std::uintptr_t page = address / kBasePage * kBasePage;
  const auto part = fake::part_of(m, reinterpret_cast<void*>(page), kBasePage);
  if (!part || part->range->pages.kind != PageKind::kTransparent || part->range->huge_forbidden ||
      part->range->node_of_page[part->first] == kNowhere) {
    return {};
  }
  const std::uintptr_t begin = address / part->range->pages.bytes * part->range->pages.bytes;
  return {begin, begin + part->range->pages.bytes};
}

Residency residency(const void* address, std::size_t length, const Pages&, Precision) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  Residency out;
  out.page_bytes = kBasePage;
  const bool failed = scripted(m, "residency").has_value();
  const auto part = fake::part_of(m, address, length);
  if (!part || failed || m.script.pages_hidden) {
    out.unknown_bytes = length;
    return out;
  }
  std::map<int, std::uint64_t> bytes;
  for (std::size_t page = part->first; page < part->last; ++page) {
    const int node = part->range->node_of_page[page];
    (node == kNowhere ? out.not_resident_bytes : bytes[node]) += kBasePage;
  }
  if (!bytes.empty() && !part->range->huge_forbidden) out.page_bytes = part->range->pages.bytes;
  out.bytes_by_node.assign(bytes.begin(), bytes.end());
  out.method = Method::kMovePages;
  return out;
}

Result<int> node_of_page(const void* page, Method) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, "node_of_page")) return *failure;
  const auto part = fake::part_of(m, page, kBasePage);
  if (!part || m.script.pages_hidden) return Failure{Cause::kOther, "node_of_page", 0, "hidden"};
  return part->range->node_of_page[part->first];
}

std::vector<Bound> memory_bounds() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  Bound bound;
  bound.limit = "the scripted machine";
  if (auto failure = scripted(m, "available")) {
    bound.unknown = describe(*failure);
    return {bound};
  }
  std::uint64_t sum = 0;
  for (const auto& [node, room] : m.script.rooms) {
    if (!m.script.not_allowed.contains(node)) sum += room.free_bytes + room.clean_file_bytes;
  }
  bound.bytes = m.script.available_bytes.value_or(sum);
  bound.whole_machine = true;
  std::vector<Bound> bounds{bound};
  if (m.script.thread_policy_bytes) {
    bounds.push_back(
        {"the scripted thread's policy", m.script.thread_policy_bytes, {}, true, false, {}});
  }
  return bounds;
}

std::vector<Bound> hugetlb_bounds(std::size_t) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (!m.script.hugetlb_limit_bytes) return {};
  return {{"the scripted hugetlb limit", m.script.hugetlb_limit_bytes, {}, false, false, {}}};
}

Result<NodeRoom> node_room(int node) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, "node_room")) return *failure;
  const auto found = m.script.rooms.find(node);
  if (found == m.script.rooms.end())
    return Failure{Cause::kOther, "open", ENOENT, "node " + std::to_string(node)};
  return found->second;
}

Result<std::uint64_t> spare_bytes(int node) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, "spare_bytes")) return *failure;
  const auto found = m.script.rooms.find(node);
  if (found == m.script.rooms.end())
    return Failure{Cause::kOther, "open", ENOENT, "node " + std::to_string(node)};
  const std::uint64_t free = found->second.free_bytes;
  return free - std::min(free, m.script.reserve_bytes);
}

Result<std::vector<unsigned>> interleave_weights(std::span<const int> nodes) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (auto failure = scripted(m, "interleave_weights")) return *failure;
  if (m.script.weights.empty())
    return Failure{Cause::kUnsupported, "open", ENOENT, "weighted_interleave"};
  std::vector<unsigned> out;
  for (const int node : nodes) {
    const auto found = m.script.weights.find(node);
    if (found == m.script.weights.end())
      return Failure{Cause::kOther, "open", ENOENT, "node " + std::to_string(node)};
    out.push_back(found->second);
  }
  return out;
}

}  // namespace numapool::platform
