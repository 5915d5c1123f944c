// The home node of each thread and of the process, and the nodes that an inherited strict policy
// allows.
#include "numapool/home_node.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>
#include <vector>

#include "platform/thread.hpp"

namespace numapool {
namespace {

thread_local int home = kNoHome;
std::atomic<int> process_home{kNoHome};

bool has(std::span<const int> nodes, int node) {
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

std::vector<int> unasked_nodes(const Topology& topology) {
  std::vector<int> bind = inherited_bind(topology);
  if (bind.empty()) return topology.default_nodes();
  std::vector<int> both;
  for (const int node : bind) {
    if (topology.is_default(node)) both.push_back(node);
  }
  return both.empty() ? bind : both;
}

std::vector<int> left_out_for(const Topology& topology, std::span<const int> wanted) {
  const std::vector<int> usable = topology.usable_nodes();
  std::vector<int> out;
  if (topology.default_nodes().size() == usable.size()) return out;  // asks the system nothing
  const std::vector<int> unasked = unasked_nodes(topology);
  for (const int node : usable) {
    if (!topology.is_default(node) && !has(wanted, node) && !has(unasked, node))
      out.push_back(node);
  }
  return out;
}

int nearest_unasked(const Topology& topology, const std::vector<int>& unasked, int node) {
  if (has(unasked, node) || unasked.empty()) return node;
  if (!topology.is_usable(node) && unasked == topology.default_nodes()) return node;
  return topology.order_among(node, unasked).front();
}

int node_here(const Topology& topology) {
  const auto exists = [&](int id) { return topology.find(id) != nullptr; };
  if (exists(home_node())) return home_node();
  const int here = platform::current_node();
  const int node = exists(here) ? here : topology.nodes().front().node_id;
  return nearest_unasked(topology, unasked_nodes(topology), node);
}

}  // namespace numapool
