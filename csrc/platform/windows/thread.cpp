// Threads on Windows: processor groups, affinity within one of them, and no memory policy.
#include "platform/thread.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>

#include "platform/windows/nodes.hpp"

namespace numapool::platform {
namespace {

using windows::api;
using windows::kCpusPerGroup;

// By CPU number. Read once: Windows adds CPUs to running machines, but takes none away.
const std::map<int, int>& node_by_cpu() {
  static const auto* const known = [] {
    auto* const made = new std::map<int, int>;
    const auto nodes = windows::read_nodes();
    if (!nodes) return made;
    for (const windows::NodeCpus& node : nodes.value()) {
      for (const int cpu : node.cpus) made->try_emplace(cpu, node.node_id);
    }
    return made;
  }();
  return *known;
}

Failure no_policy(const char* job) {
  return windows::no_such(job,
                          "threads have no memory policy on Windows: what they touch comes "
                          "from the node they run on");
}

}  // namespace

int current_cpu() noexcept {
  PROCESSOR_NUMBER here{};
  api().GetCurrentProcessorNumberEx(&here);
  return here.Group * kCpusPerGroup + here.Number;
}

int current_node() noexcept {
  PROCESSOR_NUMBER here{};
  api().GetCurrentProcessorNumberEx(&here);
  USHORT node = 0;
  if (api().GetNumaProcessorNodeEx(&here, &node) != FALSE && node != 0xFFFF) return node;
  try {
    const auto found = node_by_cpu().find(here.Group * kCpusPerGroup + here.Number);
    return found == node_by_cpu().end() ? -1 : found->second;
  } catch (...) {
    return -1;
  }
}

// Windows has no signals; what Ctrl-C runs has a thread of its own.
NoSignals::NoSignals() noexcept = default;
NoSignals::~NoSignals() = default;

// A thread runs in one processor group; those of a node that spans several take turns. Before
// Windows 11 a thread starts with its process's group alone.
bool prepare_worker(std::span<const int> cpus) noexcept {
  static std::atomic<unsigned> turn{0};
  constexpr int kMostGroups = 64;
  std::array<KAFFINITY, kMostGroups> masks{};
  unsigned used = 0;
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= kMostGroups * kCpusPerGroup) continue;
    KAFFINITY& mask = masks[static_cast<std::size_t>(cpu / kCpusPerGroup)];
    if (mask == 0) ++used;
    mask |= KAFFINITY{1} << (cpu % kCpusPerGroup);
  }
  if (used == 0) return cpus.empty();
  unsigned skip = turn.fetch_add(1, std::memory_order_relaxed) % used;
  for (std::size_t group = 0; group < masks.size(); ++group) {
    if (masks[group] == 0 || skip-- != 0) continue;
    GROUP_AFFINITY wanted{};
    wanted.Group = static_cast<WORD>(group);
    wanted.Mask = masks[group];
    return api().SetThreadGroupAffinity(::GetCurrentThread(), &wanted, nullptr) != FALSE;
  }
  return false;
}

Result<ThreadPolicy> thread_policy() { return no_policy("thread_policy"); }

Status set_thread_policy(ThreadMode, std::span<const int>) {
  return no_policy("set_thread_policy");
}

Status restore_thread_policy(const ThreadPolicy&) { return no_policy("restore_thread_policy"); }

}  // namespace numapool::platform
