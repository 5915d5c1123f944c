// How the scripted machine gives out pages: free ones by zone list, then those of clean cache.
#include "platform/fake/machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace numapool::platform::fake {
namespace {

// Takes a page from `node`, of its clean cache only with `reclaim`.
bool take(MemoryScript& script, int node, bool reclaim) {
  const auto found = script.rooms.find(node);
  if (found == script.rooms.end() || script.not_allowed.contains(node)) return false;
  std::uint64_t& from = reclaim ? found->second.clean_file_bytes : found->second.free_bytes;
  if (from < kBasePage) return false;
  from -= kBasePage;
  return true;
}

void put_back(MemoryScript& script, int node) {
  const auto found = script.rooms.find(node);
  if (found != script.rooms.end()) found->second.free_bytes += kBasePage;
}

// Tries the nodes of the zone list in order until one will do. It allocates nothing: there are many
// pages, and tests count what the core allocates.
template <class Attempt>
bool along_zone_list(const MemoryScript& script, int node, const Attempt& attempt) {
  if (attempt(node)) return true;
  const auto own = script.fallback.find(node);
  if (own != script.fallback.end())
    return std::any_of(own->second.begin(), own->second.end(), attempt);
  return std::any_of(script.rooms.begin(), script.rooms.end(),
                     [&](const auto& room) { return room.first != node && attempt(room.first); });
}

bool uses_huge_pages(const Range& range) {
  return range.pages.kind == PageKind::kTransparent && !range.huge_forbidden;
}

// Which node of an interleaving is the page's turn: by address, as the kernel has it for anonymous
// memory; a huge page is one turn.
int node_in_turn(const MemoryScript& script, const Range& range, std::uintptr_t address) {
  const std::size_t unit = uses_huge_pages(range) ? range.pages.bytes : kBasePage;
  std::vector<int> round;
  for (const int node : range.nodes) {
    const auto weight = script.weights.find(node);
    const bool weighted = range.policy == Policy::kWeightedInterleave;
    round.insert(round.end(), weighted && weight != script.weights.end() ? weight->second : 1,
                 node);
  }
  return round[address / unit % round.size()];
}

}  // namespace

Machine& machine() {
  static Machine instance;
  return instance;
}

MemoryScript& memory_script() { return machine().script; }

void reset_memory() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  m.script = {};
  for (auto& [address, range] : m.ranges)
    range.node_of_page.assign(range.node_of_page.size(), kNowhere);
}

std::size_t live_mappings() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  return m.ranges.size();
}

std::size_t resident_pages() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  std::size_t count = 0;
  for (const auto& [address, range] : m.ranges) {
    for (const int node : range.node_of_page) count += node == kNowhere ? 0 : 1;
  }
  return count;
}

std::size_t dumped_mappings() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  return static_cast<std::size_t>(std::count_if(
      m.ranges.begin(), m.ranges.end(), [](const auto& range) { return range.second.dumped; }));
}

void drop_live_mappings() {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  for (const auto& [address, range] : m.ranges) std::free(range.origin);
  m.ranges.clear();
}

std::optional<Failure> scripted(Machine& m, const std::string& call) {
  const int count = ++m.script.calls[call];
  if (m.script.before) m.script.before(m.script, call, count);
  if (const auto always = m.script.failures.find(call); always != m.script.failures.end()) {
    return always->second;
  }
  if (const auto some = m.script.failures_at.find(call); some != m.script.failures_at.end()) {
    const auto now = some->second.find(count);
    if (now != some->second.end()) return now->second;
  }
  return std::nullopt;
}

std::optional<Part> part_of(Machine& m, const void* address, std::size_t length) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto after = m.ranges.upper_bound(at);
  if (after != m.ranges.begin()) {
    const auto found = std::prev(after);
    const std::size_t offset = at - found->first;
    Range& range = found->second;
    if (offset % kBasePage == 0 && length % kBasePage == 0 && offset <= range.length &&
        length <= range.length - offset && length != 0) {
      return Part{&range, offset / kBasePage, (offset + length) / kBasePage};
    }
  }
  ++m.script.misuses;
  return std::nullopt;
}

// A strict bind has no zone list beyond its nodes: where a kernel kills, this page finds no memory.
bool make_resident(Machine& m, Range& range, std::size_t page, int toucher) {
  int& node = range.node_of_page[page];
  if (node != kNowhere) return true;
  MemoryScript& script = m.script;
  const auto address =
      reinterpret_cast<std::uintptr_t>(range.origin) / kBasePage * kBasePage + page * kBasePage;
  const bool spread =
      range.policy == Policy::kInterleave || range.policy == Policy::kWeightedInterleave;
  int first = toucher;
  if (!range.nodes.empty()) {
    first = spread ? node_in_turn(script, range, address) : range.nodes.front();
  }
  const bool bound = range.policy == Policy::kBind && !range.nodes.empty();
  if (bound) script.allocated_under_bind = true;
  if (script.huge_pages_only_on && uses_huge_pages(range) && !bound &&
      take(script, *script.huge_pages_only_on, false)) {
    node = *script.huge_pages_only_on;
    return true;
  }
  // First those of the set that are free, from the toucher on; then as if there were no set.
  const bool many = range.policy == Policy::kPreferredMany && !range.nodes.empty();
  const auto free_in_set = [&](int candidate) {
    const bool in =
        std::find(range.nodes.begin(), range.nodes.end(), candidate) != range.nodes.end();
    if (!in || !take(script, candidate, false)) return false;
    node = candidate;
    return true;
  };
  if (many) first = toucher;
  if (many && along_zone_list(script, first, free_in_set)) return true;
  for (const bool reclaim : {false, true}) {
    const auto attempt = [&](int candidate) {
      if (!take(script, candidate, reclaim)) return false;
      node = candidate;
      return true;
    };
    if (bound ? std::any_of(range.nodes.begin(), range.nodes.end(), attempt)
              : along_zone_list(script, first, attempt)) {
      return true;
    }
  }
  return false;
}

bool move_page(Machine& m, Range& range, std::size_t page, int node) {
  return move_into(m, range, page, std::span(&node, 1));
}

bool move_into(Machine& m, Range& range, std::size_t page, std::span<const int> nodes) {
  int& now = range.node_of_page[page];
  if (now == kNowhere || std::find(nodes.begin(), nodes.end(), now) != nodes.end()) return true;
  const std::optional<int>& huge_on = m.script.huge_pages_only_on;
  for (const bool reclaim : {false, true}) {
    for (const int node : nodes) {
      if (huge_on && *huge_on != node && uses_huge_pages(range)) continue;
      if (!take(m.script, node, reclaim)) continue;
      put_back(m.script, now);
      now = node;
      return true;
    }
  }
  return false;
}

void give_back(Machine& m, Range& range, std::size_t page) {
  int& node = range.node_of_page[page];
  if (node == kNowhere) return;
  put_back(m.script, node);
  node = kNowhere;
}

}  // namespace numapool::platform::fake
