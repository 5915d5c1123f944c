// Limits a look at the system to the memory that is used if no node is named.
#include "pressure/default_supply.hpp"

#include <algorithm>
#include <exception>

#include "numapool/current_topology.hpp"

namespace numapool {

NodesByUse nodes_by_use() {
  NodesByUse out;
  try {
    const SharedTopology machine = topology_now();
    out.defaults = machine->default_nodes();
    for (const int node : machine->usable_nodes()) {
      if (!machine->is_default(node)) out.by_name.push_back(node);
    }
  } catch (const std::exception&) {  // also where there is no memory to look
    return {};
  }
  return out;
}

void keep_default_supply(platform::PressureLook& look, const std::vector<int>& by_name,
                         const std::function<bool(int)>& holds) {
  const auto is_by_name = [&](const platform::NodeSupply& node) {
    return std::find(by_name.begin(), by_name.end(), node.node_id) != by_name.end();
  };
  for (const platform::NodeSupply& node : look.nodes) {
    if (!look.machine || !is_by_name(node)) continue;
    platform::Supply& machine = *look.machine;
    machine.available_bytes -= std::min(machine.available_bytes, node.supply.available_bytes);
    machine.total_bytes -= std::min(machine.total_bytes, node.supply.total_bytes);
  }
  std::erase_if(look.nodes, [&](const platform::NodeSupply& node) {
    return is_by_name(node) && !holds(node.node_id);
  });
}

}  // namespace numapool
