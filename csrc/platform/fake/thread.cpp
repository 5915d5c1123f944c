// The scripted machine's threads: they run where the script says, and keep one policy each.
#include "platform/thread.hpp"

#include "platform/fake/machine.hpp"
#include "platform/fake/topology_script.hpp"

namespace numapool::platform {
namespace {

thread_local ThreadPolicy policy;
thread_local int worker_node = -1;
thread_local int worker_cpu = -1;

int node_with(int cpu) noexcept {
  for (const NodeRecord& node : fake::topology_script().nodes) {
    for (const int own : node.cpus) {
      if (own == cpu) return node.node_id;
    }
  }
  return -1;
}

}  // namespace

int fake::node_of_this_thread(const MemoryScript& script) noexcept {
  return worker_node >= 0 ? worker_node : script.current_node;
}

int current_node() noexcept { return fake::node_of_this_thread(fake::memory_script()); }

int current_cpu() noexcept {
  if (worker_cpu >= 0) return worker_cpu;
  const int node = current_node();
  for (const NodeRecord& record : fake::topology_script().nodes) {
    if (record.node_id == node && !record.cpus.empty()) return record.cpus.front();
  }
  return -1;
}

// Nobody sends signals to a scripted machine.
NoSignals::NoSignals() noexcept = default;
NoSignals::~NoSignals() = default;

bool prepare_worker(std::span<const int> cpus) noexcept {
  fake::Machine& m = fake::machine();
  const std::lock_guard guard(m.mutex);
  m.script.worker_cpus.emplace_back(cpus.begin(), cpus.end());
  if (cpus.empty()) return true;
  if (m.script.workers_roam) return false;
  worker_cpu = cpus.front();
  worker_node = node_with(worker_cpu);
  return true;
}

Result<ThreadPolicy> thread_policy() { return policy; }
Status set_thread_policy(ThreadMode mode, std::span<const int> nodes) {
  policy = ThreadPolicy{mode, static_cast<int>(mode), std::vector<int>(nodes.begin(), nodes.end())};
  return Done{};
}
Status restore_thread_policy(const ThreadPolicy& saved) {
  policy = saved;
  return Done{};
}

}  // namespace numapool::platform
