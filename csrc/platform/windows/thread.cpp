// Threads on Windows: where they run, and no memory policy.
#include "platform/thread.hpp"

#include <map>

#include "platform/windows/nodes.hpp"
#include "platform/windows/thread_groups.hpp"

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

// Before Windows 11 a thread starts with its process's group alone.
bool prepare_worker(std::span<const int> cpus) noexcept {
  return cpus.empty() || windows::run_in_one_group(::GetCurrentThread(), cpus) == ERROR_SUCCESS;
}

Result<ThreadPolicy> thread_policy() { return no_policy("thread_policy"); }

Status set_thread_policy(ThreadMode, std::span<const int>) {
  return no_policy("set_thread_policy");
}

Status restore_thread_policy(const ThreadPolicy&) { return no_policy("restore_thread_policy"); }

}  // namespace numapool::platform
