// Network interfaces: adapters, and what bonds, VLANs, bridges and veth pairs sit on
// (Documentation/ABI/testing/sysfs-class-net). Also InfiniBand devices made of one.
#include <string>
#include <utility>

#include "platform/linux/devices/device_walk.hpp"
#include "platform/linux/devices/network_route.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kInterfaces = "sys/class/net/";

// "DEVTYPE=vlan" in the uevent file; without it, the type follows from the folders.
std::string kind_of(const DeviceTree& tree, const std::string& device) {
  constexpr std::string_view kKey = "DEVTYPE=";
  const std::string text = tree.text(device + "/uevent").value_or("");
  if (const std::size_t at = text.find(kKey); at != std::string::npos) {
    const std::size_t begin = at + kKey.size();
    return text.substr(begin, text.find('\n', begin) - begin);
  }
  if (tree.has(device + "/bonding")) return "bond";
  if (tree.has(device + "/bridge")) return "bridge";
  return "net";
}

// Interfaces below this one: lower_NAME links, slave_NAME of older kernels, a bridge's ports.
std::vector<std::string> lower_of(const DeviceTree& tree, const std::string& device) {
  std::vector<std::string> lower, older;
  for (const std::string& name : tree.names(device)) {
    if (name.starts_with("lower_")) lower.push_back(name.substr(6));
    if (name.starts_with("slave_")) older.push_back(name.substr(6));
  }
  if (!lower.empty()) return lower;
  return older.empty() ? tree.names(device + "/brif") : older;
}

// The other end of a veth pair, if it is in this network namespace: numbers are of a namespace
// each, so that only a pair that names each other is one.
std::optional<std::string> peer_of(const DeviceTree& tree, const std::string& device) {
  const auto own = tree.text(device + "/ifindex"), link = tree.text(device + "/iflink");
  if (!own || !link || *own == *link) return std::nullopt;
  for (const std::string& name : tree.names("sys/class/net")) {
    const std::string other = kInterfaces + name;
    if (tree.text(other + "/ifindex") == *link && tree.text(other + "/iflink") == *own) {
      return name;
    }
  }
  return std::nullopt;
}

std::optional<std::string> master_of(const DeviceTree& tree, const std::string& device) {
  const auto master = tree.link(device + "/master");
  if (!master) return std::nullopt;
  return std::string(name_of(*master));
}

// Walks from each name. True where that led to hardware: dead ends beside it (the ports of guests
// on a bridge) do not matter then.
bool leads_on(Walk& walk, int depth, const std::vector<std::string>& names) {
  const std::size_t legs = walk.found.legs.size();
  const std::size_t dead_ends = walk.found.dead_ends.size();
  for (const std::string& name : names) walk_net(walk, depth, name);
  if (walk.found.legs.size() == legs) return false;
  walk.found.dead_ends.resize(dead_ends);
  return true;
}

// A port that has nothing below it sends by its bridge, or by the other end of its pair.
void walk_virtual(Walk& walk, int depth, const std::string& device) {
  const DeviceTree& tree = walk.tree;
  const std::string name(name_of(device));
  const std::vector<std::string> lower = lower_of(tree, device);
  if (!lower.empty()) {
    leads_on(walk, depth, lower);
    return;
  }
  const auto master = master_of(tree, device);
  if (master && leads_on(walk, depth, {*master})) return;
  const auto peer = peer_of(tree, device);
  if (peer) {
    leads_on(walk, depth, {*peer});
  } else if (tree.text(device + "/ifindex") != tree.text(device + "/iflink")) {
    walk.dead_end("the other end of " + name + " is in another network namespace");
  } else if (!master) {
    walk.dead_end(name + " is virtual, with no network adapter below it");
  }
}

}  // namespace

void walk_net(Walk& walk, int depth, const std::string& name) {
  const auto device = is_plain_name(name) ? walk.tree.real(kInterfaces + name) : std::nullopt;
  if (!device) {
    if (walk.enter(depth, step_of("net", name), {})) {
      walk.dead_end("there is no network interface " + name + " here");
    }
    return;
  }
  if (!is_virtual(*device)) {
    walk.arrive(depth, "net", name, *device);
    return;
  }
  DeviceStep step = step_of(kind_of(walk.tree, *device), name, walk.tree.shown(*device));
  if (walk.enter(depth, std::move(step), *device)) walk_virtual(walk, depth + 1, *device);
}

void walk_server(Walk& walk, int depth, std::string_view address, const std::string& whose) {
  const std::string server(address);
  const std::string routes4 = walk.tree.text("proc/net/route").value_or("");
  const std::string routes6 = walk.tree.text("proc/net/ipv6_route").value_or("");
  const auto interface = interface_to(address, routes4, routes6);
  if (!walk.enter(depth, step_of("server", server), {})) return;
  if (interface) {
    walk_net(walk, depth + 1, *interface);
  } else {
    walk.dead_end("no route to the server of " + whose + (server.empty() ? "" : ", " + server));
  }
}

}  // namespace numapool::platform
