// The walk from a name to hardware: steps, legs and dead ends.
#include "platform/linux/devices/device_walk.hpp"

#include <algorithm>
#include <utility>

namespace numapool::platform {
namespace {

constexpr std::size_t kMostSteps = 1000;
constexpr int kDeepest = 64;

}  // namespace

DeviceStep step_of(std::string kind, std::string name, std::string path, std::string note) {
  DeviceStep step;
  step.kind = std::move(kind);
  step.name = std::move(name);
  step.path = std::move(path);
  step.note = std::move(note);
  return step;
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

bool Walk::enter(int depth, DeviceStep step, const std::string& key) {
  if (full_) return false;
  if (depth > kDeepest || found.steps.size() >= kMostSteps) {
    full_ = true;
    found.dead_ends.push_back("the walk was given up after " + std::to_string(found.steps.size()) +
                              " steps");
    return false;
  }
  step.depth = depth;
  const bool is_new = key.empty() || seen_.insert(key).second;
  if (!is_new) step.note = "as above";
  found.steps.push_back(std::move(step));
  return is_new;
}

void Walk::dead_end(std::string reason) {
  if (!found.steps.empty()) {
    std::string& note = found.steps.back().note;
    note += (note.empty() ? "" : "; ") + reason;
  }
  found.dead_ends.push_back(std::move(reason));
}

void Walk::arrive(int depth, std::string kind, std::string name, const std::string& device) {
  NodeAnswer answer = tree.node_of(device);
  const std::string function(pci_function_of(device));
  DeviceRecord leg;
  leg.kind = std::move(kind);
  leg.name = std::move(name);
  leg.node_id = answer.node_id;
  leg.evidence = std::move(answer.evidence);
  leg.reason = std::move(answer.reason);
  if (!function.empty()) leg.pci_address = name_of(function);

  const bool is_function = function == device;
  DeviceStep own =
      step_of(is_function && leg.kind == "pci" ? "PCI" : leg.kind, leg.name, tree.shown(device));
  if (function.empty() || is_function) {
    own.node_id = leg.node_id;
    own.note = leg.node_id ? leg.evidence : leg.reason;
  }
  if (!enter(depth, std::move(own), device)) return;
  if (!function.empty() && !is_function) {
    DeviceStep plug = step_of("PCI", leg.pci_address, tree.shown(function),
                              leg.node_id ? leg.evidence : leg.reason);
    plug.node_id = leg.node_id;
    // Several devices of one function are walked from each.
    static_cast<void>(enter(depth + 1, std::move(plug), {}));
  }
  found.legs.push_back(std::move(leg));
}

void Walk::arrive_in_memory(const std::string& name, int node, std::string evidence) {
  DeviceRecord leg;
  leg.kind = "memory";
  leg.name = name;
  leg.node_id = node;
  leg.evidence = std::move(evidence);
  found.legs.push_back(std::move(leg));
}

}  // namespace numapool::platform
