// Accesses by node are not counted where the system is unknown.
#include "platform/node_loads.hpp"

namespace numapool::platform {

Result<NodeLoadCounters> count_node_loads(int) {
  return Failure{Cause::kUnsupported, "count_node_loads", 0, {}};
}

}  // namespace numapool::platform
