// The current topology of the running machine: one holder for everything that follows the machine.
#include "numapool/current_topology.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "platform/locks.hpp"
#include "platform/topology.hpp"

namespace numapool {
namespace {

// Nothing is read while it is held.
struct Holder {
  platform::Mutex mutex{platform::LockRank::kTopology};
  SharedTopology held;
};

Holder& holder = *new Holder;  // never destroyed: threads may allocate until the process is gone

SharedTopology held() {
  const std::lock_guard guard(holder.mutex);
  return holder.held;
}

std::vector<int> all_cpus_of(const Topology& topology) {
  std::vector<int> cpus;
  for (const Node& node : topology.nodes())
    cpus.insert(cpus.end(), node.cpus.begin(), node.cpus.end());
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::vector<int> ids_of(const Topology& topology) {
  std::vector<int> ids;
  for (const Node& node : topology.nodes()) ids.push_back(node.node_id);
  return ids;
}

bool agrees(const Topology& topology, const platform::NodesNow& now) {
  return now.online == ids_of(topology) && now.usable == topology.usable_nodes() &&
         now.cpus == all_cpus_of(topology);
}

}  // namespace

SharedTopology renewed_topology() {
  SharedTopology read = std::make_shared<const Topology>(Topology::detect());
  const std::lock_guard guard(holder.mutex);
  SharedTopology& kept = holder.held;
  if (kept == nullptr || !(*kept == *read)) kept.swap(read);  // the old one goes after the unlock
  return kept;
}

SharedTopology current_topology() {
  SharedTopology kept = held();
  return kept != nullptr ? kept : renewed_topology();
}

SharedTopology topology_now() {
  SharedTopology kept = held();
  if (kept == nullptr) return renewed_topology();
  const auto now = platform::nodes_now();
  return now && agrees(*kept, now.value()) ? kept : renewed_topology();
}

SharedTopology topology_for(int node) {
  SharedTopology kept = current_topology();
  return kept->is_usable(node) ? kept : topology_now();
}

}  // namespace numapool
