// Accesses by node on Windows: its counters of the processor are for drivers.
#include "platform/node_loads.hpp"

#include "platform/windows/api.hpp"

namespace numapool::platform {

Result<NodeLoadCounters> count_node_loads(int) {
  return windows::no_such("count_node_loads", "Windows does not count accesses by node");
}

}  // namespace numapool::platform
