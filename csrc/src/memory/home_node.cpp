// The home of each thread, and of the process, and the nodes that a strict policy from outside
// leaves it.
#include "numapool/home_node.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "platform/thread.hpp"

namespace numapool {
namespace {

thread_local int home = kNoHome;
std::atomic<int> process_home{kNoHome};

bool has(const std::vector<int>& nodes, int node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

}  // namespace

int set_home_node(int node) noexcept { return std::exchange(home, node); }

void set_process_home_node(int node) noexcept {
  process_home.store(node, std::memory_order_relaxed);
}

int home_node() noexcept {
  return home != kNoHome ? home : process_home.load(std::memory_order_relaxed);
}

std::vector<int> inherited_bind(const Topology& topology) {
  const auto policy = platform::thread_policy();
  std::vector<int> nodes;
  if (!policy || policy.value().mode != platform::ThreadMode::kBind) return nodes;
  for (const int node : topology.usable_nodes()) {
    if (has(policy.value().nodes, node)) nodes.push_back(node);
  }
  return nodes;
}

int within_bind(const Topology& topology, const std::vector<int>& bind, int node) {
  if (bind.empty() || has(bind, node)) return node;
  for (const int near : topology.nearest(node)) {
    if (has(bind, near)) return near;
  }
  return node;
}

int node_here(const Topology& topology) {
  const auto exists = [&](int id) { return topology.find(id) != nullptr; };
  if (exists(home_node())) return home_node();
  const int here = platform::current_node();
  const int node = exists(here) ? here : topology.nodes().front().node_id;
  return within_bind(topology, inherited_bind(topology), node);
}

}  // namespace numapool
