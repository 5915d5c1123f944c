// Limits a look at the system to the memory that is used if no node is named.
#pragma once

#include <functional>
#include <vector>

#include "platform/pressure.hpp"

namespace numapool {

// The usable nodes of the running machine. `by_name` lists those whose memory is used only if they
// are named; it is empty on most machines.
struct NodesByUse {
  std::vector<int> defaults;
  std::vector<int> by_name;
};

// Both lists are empty if the machine cannot be read.
[[nodiscard]] NodesByUse nodes_by_use();

// Removes the nodes `by_name` from the look: their memory from the machine's, and the nodes
// themselves from those that may be short. Nodes on which memory is retained (`holds`) stay.
void keep_default_supply(platform::PressureLook& look, const std::vector<int>& by_name,
                         const std::function<bool(int)>& holds);

}  // namespace numapool
