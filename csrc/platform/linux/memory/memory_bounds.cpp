// Every bound on the memory that this process may still use.
#include "platform/linux/memory/memory_bounds.hpp"

#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/kernel/node_mask.hpp"
#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/process.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kNodes = "/sys/devices/system/node";
constexpr std::uint64_t kSearchEvery = 1000;  // ms, where no mount shows the cgroup

std::string words_of(int code) { return std::strerror(code); }

std::uint64_t less(std::uint64_t limit, std::uint64_t used) noexcept {
  return limit > used ? limit - used : 0;
}

Bound unknown(std::string limit, std::string why) {
  Bound bound;
  bound.limit = std::move(limit);
  bound.unknown = std::move(why);
  return bound;
}

Bound known(std::string limit, std::uint64_t bytes) {
  Bound bound;
  bound.limit = std::move(limit);
  bound.bytes = bytes;
  return bound;
}

Bound of_machine(Bound bound) {
  bound.whole_machine = true;
  return bound;
}

std::string node_list(const std::vector<int>& nodes) {
  std::string text = nodes.size() == 1 ? "node " : "nodes ";
  for (std::size_t i = 0; i < nodes.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(nodes[i]);
  return text;
}

}  // namespace

MemoryBounds::MemoryBounds(std::string root)
    : root_(std::move(root)),
      meminfo_(root_ + "/proc/meminfo"),
      has_memory_(root_ + kNodes + "/has_memory"),
      self_cgroup_(root_ + "/proc/self/cgroup") {}

void MemoryBounds::forget_self() {
  self_cgroup_ = KeptFile(root_ + "/proc/self/cgroup");
  memory_ = Place("memory");
  hugetlb_ = Place("hugetlb");
}

// True where the place is another than at the last call. A process may be moved between cgroups at
// any time; one read tells.
bool MemoryBounds::follow(Place& place) {
  const auto text = self_cgroup_.read();
  if (text && place.found && *text == place.cgroup_text) return false;
  // A search that read everything and found no mount is repeated now and then: mounts may come.
  const bool same = text && *text == place.cgroup_text;
  const std::uint64_t now = coarse_ms();
  if (same && !place.search.unknown.empty() && !place.search.failed &&
      now - place.searched_ms < kSearchEvery) {
    return false;
  }
  std::string before = text ? std::string(*text) : std::string{};
  place.search = find_cgroup(root_, place.name);
  place.searched_ms = now;
  place.cgroup_text = std::move(before);
  place.found = text && place.search.unknown.empty();
  return true;
}

std::vector<Bound> MemoryBounds::look() {
  std::vector<Bound> out;
  add_machine(out);
  add_cgroups(out);
  add_nodes(out);
  return out;
}

std::optional<std::string_view> MemoryBounds::read_meminfo() {
  const auto text = meminfo_.read();
  if (text) machine_bytes_ = meminfo_bytes(*text, "MemTotal:").value_or(0);
  return text;
}

// /proc/meminfo may be missing (ProcSubset=pid), unreadable or zeroed (a dead lxcfs). Then the
// nodes' files tell how much they can still hold; at least the size of the machine is known.
void MemoryBounds::add_machine(std::vector<Bound>& out) {
  const auto text = read_meminfo();
  const auto total = text ? meminfo_bytes(*text, "MemTotal:") : std::nullopt;
  const auto available = text ? meminfo_bytes(*text, "MemAvailable:") : std::nullopt;
  if (total && *total != 0 && available) {
    out.push_back(of_machine(known("the machine (MemAvailable)", *available)));
    return;
  }
  const auto with_memory = nodes_with_memory();
  if (const auto room = with_memory ? room_of(*with_memory) : std::nullopt) {
    out.push_back(of_machine(known("the machine (free memory of its nodes)", *room)));
    return;
  }
  out.push_back(unknown(
      "the machine's available memory",
      text ? "/proc/meminfo has no MemAvailable, and no node tells its memory"
           : "/proc/meminfo: " + words_of(meminfo_.error()) + ", and no node tells its memory"));
  struct sysinfo info{};
  if (sysinfo(&info) == 0 && info.totalram != 0)
    out.push_back(of_machine(
        known("the machine's whole memory", std::uint64_t{info.totalram} * info.mem_unit)));
}

// Where anonymous memory can be swapped out to.
std::uint64_t MemoryBounds::swap_room() {
  const auto text = meminfo_.read();
  std::uint64_t room = text ? meminfo_bytes(*text, "SwapFree:").value_or(0) : 0;
  for (CgroupLevel& level : levels_) {
    if (room == 0) break;
    room = std::min(room, level.swap_room_bytes().value_or(room));
  }
  return room;
}

void MemoryBounds::add_cgroups(std::vector<Bound>& out) {
  if (follow(memory_)) {
    levels_.clear();
    if (memory_.search.place) levels_ = levels_of(*memory_.search.place, root_);
  }
  if (!memory_.search.unknown.empty())
    out.push_back(unknown("the memory limits of this process's cgroup", memory_.search.unknown));
  for (CgroupLevel& level : levels_) {
    const CgroupUse use = level.look();
    const std::string name = "the cgroup " + level.folder();
    if (use.max_bytes) out.push_back(known(name, less(*use.max_bytes, use.needed_bytes())));
    // Beyond memory.high plus swap, the kernel throttles a process for seconds at a time, again and
    // again.
    if (use.high_bytes) {
      out.push_back(
          known("memory.high of " + name, less(*use.high_bytes + swap_room(), use.needed_bytes())));
    }
    if (!use.unreadable.empty()) out.push_back(unknown(name, use.unreadable));
  }
}

// A cpuset, or a strict policy that was inherited (numactl --membind, NUMAPolicy=bind), makes the
// kernel kill when its nodes are full, however much the machine has.
void MemoryBounds::add_nodes(std::vector<Bound>& out) {
  const auto with_memory = nodes_with_memory();
  NodeMask allowed;
  const bool has_allowed = kernel::allowed_nodes(allowed) == 0;
  if (!with_memory) {
    // Without such a call there are no nodes that could be left out.
    if (has_allowed) {
      out.push_back(unknown("the nodes that this process is allowed (cpuset)",
                            has_memory_.path() + ": " + words_of(has_memory_.error())));
    }
    return;
  }
  const auto restrict_to = [&](const NodeMask& mask, const char* whose, bool of_policy) {
    std::vector<int> nodes;
    for (const int node : *with_memory) {
      if (mask.test(node)) nodes.push_back(node);
    }
    // An empty mask is the answer of a system that does not keep any.
    if (nodes.empty() || nodes.size() == with_memory->size()) return;
    const std::string name = node_list(nodes) + ": " + whose;
    const auto room = room_of(nodes);
    Bound bound = room ? known(name, *room) : unknown(name, "their memory cannot be read");
    bound.thread_policy = of_policy;
    bound.nodes = std::move(nodes);
    out.push_back(std::move(bound));
  };
  if (has_allowed) restrict_to(allowed, "the nodes that this process is allowed (cpuset)", false);
  int mode = 0;
  NodeMask bound;
  if (kernel::get_mempolicy(mode, &bound) == 0 && (mode & ~kernel::kModeFlags) == MPOL_BIND &&
      (mode & MPOL_F_RELATIVE_NODES) == 0) {
    restrict_to(bound, "this thread's memory policy binds it to them (numactl --membind)", true);
  }
}

std::vector<Bound> MemoryBounds::look_hugetlb(std::size_t page_bytes) {
  std::vector<Bound> out;
  if (follow(hugetlb_)) hugetlb_levels_.clear();
  if (!hugetlb_.search.unknown.empty())
    out.push_back(unknown("the hugetlb limits of this process's cgroup", hugetlb_.search.unknown));
  if (!hugetlb_.search.place) return out;
  const CgroupPlace& place = *hugetlb_.search.place;
  auto [found, is_new] = hugetlb_levels_.try_emplace(page_bytes);
  if (is_new) {
    for (std::string& folder : folders_of(place))
      found->second.emplace_back(std::move(folder), place.version, page_bytes, root_);
  }
  for (HugetlbLevel& level : found->second) {
    HugetlbLevel::Room room = level.look();
    const std::string name = "the cgroup " + level.folder();
    if (room.bytes) out.push_back(known(room.limit_file + " of " + name, *room.bytes));
    if (!room.unreadable.empty()) out.push_back(unknown(name, std::move(room.unreadable)));
  }
  return out;
}

std::optional<std::vector<int>> MemoryBounds::nodes_with_memory() {
  const auto text = has_memory_.read();
  return text ? parse_id_list(*text, kLargestNodeId) : std::nullopt;
}

std::optional<NodeMemory> MemoryBounds::node_memory(int node_id) {
  const auto place =
      node_meminfo_
          .try_emplace(node_id, root_ + kNodes + "/node" + std::to_string(node_id) + "/meminfo")
          .first;
  const auto text = place->second.read();
  auto memory = text ? parse_node_memory(*text) : std::nullopt;
  if (!memory) return std::nullopt;
  // Two files less where the node has about as much as the machine had at the last look, which
  // comes with every large allocation. Where the machine has grown since, the node's own figures
  // are the smaller ones.
  if (machine_bytes_ != 0 && !is_far_below(*memory, machine_bytes_)) return memory;
  const auto list = has_memory_.read();
  if (list && is_only_node_with_memory(*list, node_id)) {
    if (const auto machine = read_meminfo()) complete_only_node(*memory, *machine);
  }
  return memory;
}

std::optional<std::uint64_t> MemoryBounds::room_of(const std::vector<int>& nodes) {
  std::uint64_t sum = 0;
  for (const int node : nodes) {
    const auto memory = node_memory(node);
    if (!memory) return std::nullopt;
    sum += memory->free_bytes + memory->clean_file_bytes;
  }
  return sum;
}

Result<NodeRoom> MemoryBounds::room(int node_id) {
  const auto memory = node_memory(node_id);
  if (!memory)
    return failed("open", ENOENT, root_ + kNodes + "/node" + std::to_string(node_id) + "/meminfo");
  return NodeRoom{memory->free_bytes, memory->clean_file_bytes};
}

}  // namespace numapool::platform
