// Combines the legs of a walk: their nodes, the node nearest to all, and why one is unknown.
#include "numapool/device.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "numapool/error.hpp"

namespace numapool {
namespace {

// Removes a node that the topology does not have, and returns what is wrong with it.
std::string drop_unknown(const Topology& topology, std::optional<int>& node_id) {
  if (!node_id || topology.find(*node_id) != nullptr) return {};
  return "node " + std::to_string(*std::exchange(node_id, std::nullopt)) + " is not online";
}

// False if the device's node was dropped.
bool keep_known(const Topology& topology, Device& device) {
  const std::string wrong = drop_unknown(topology, device.node_id);
  if (wrong.empty()) return true;
  device.reason = wrong + ", which " + device.evidence + " tells";
  return false;
}

void add_reason(std::string& reasons, const std::string& reason) {
  if (reason.empty() || reasons.find(reason) != std::string::npos) return;
  reasons += (reasons.empty() ? "" : "; ") + reason;
}

}  // namespace

DeviceLocality locate_device(const Topology& topology, const std::string& name) {
  platform::Result<platform::DeviceWalk> walked = platform::walk_to_devices(topology.root(), name);
  DeviceLocality found;
  if (!walked) {
    const platform::Failure& failure = walked.failure();
    if (failure.cause != platform::Cause::kUnsupported) {
      throw Error(ErrorKind::kSystem, describe(failure), failure.code);
    }
    found.reason = describe(failure);
    return found;
  }
  platform::DeviceWalk walk = std::move(walked).value();
  found.legs = std::move(walk.legs);
  found.steps = std::move(walk.steps);
  std::vector<int> from;
  for (Device& leg : found.legs) {
    if (!keep_known(topology, leg)) found.outdated = true;
    if (leg.node_id) from.push_back(*leg.node_id);
    add_reason(found.reason, leg.reason);
  }
  for (DeviceStep& step : found.steps) {
    const std::string wrong = drop_unknown(topology, step.node_id);
    if (!wrong.empty())
      step.note = step.note.empty() ? wrong : wrong + ", which " + step.note + " tells";
  }
  for (const std::string& dead_end : walk.dead_ends) add_reason(found.reason, dead_end);
  if (found.legs.empty() && found.reason.empty()) found.reason = "the walk leads to no hardware";
  found.node_id = nearest_to_all(topology, from);
  std::sort(from.begin(), from.end());
  from.erase(std::unique(from.begin(), from.end()), from.end());
  found.nodes = std::move(from);
  return found;
}

std::optional<int> nearest_to_all(const Topology& topology, std::span<const int> from) {
  if (from.empty()) return std::nullopt;
  const bool is_one = std::all_of(from.begin(), from.end(), [&](int id) { return id == from[0]; });
  if (is_one) return topology.node(from[0]).node_id;
  std::vector<int> candidates = topology.default_nodes();
  if (candidates.empty()) candidates.assign(from.begin(), from.end());
  const auto key = [&](int candidate) {
    long sum = 0;
    int greatest = 0;
    for (const int id : from) {
      const int distance = topology.distance(id, candidate);
      sum += distance;
      greatest = std::max(greatest, distance);
    }
    return std::tuple(sum, greatest, candidate);
  };
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&](int a, int b) { return key(a) < key(b); });
}

std::vector<Device> list_devices(const Topology& topology) {
  platform::Result<std::vector<Device>> listed = platform::list_devices(topology.root());
  if (!listed) {
    const platform::Failure& failure = listed.failure();
    if (failure.cause == platform::Cause::kUnsupported) return {};
    throw Error(ErrorKind::kSystem, "cannot list devices: " + describe(failure), failure.code);
  }
  for (Device& device : listed.value()) keep_known(topology, device);
  return std::move(listed).value();
}

}  // namespace numapool
