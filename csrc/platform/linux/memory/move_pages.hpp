// Moving pages by a kernel that tests script.
#pragma once

#include <cstdint>

#include "platform/linux/memory/page_nodes.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {

// move_resident() of the contract, by these calls.
Result<MoveTally> move_resident_by(const PageCalls& calls, void* address, std::size_t length,
                                   const Pages& pages, int node);
// The same of move_to_node().
Result<std::uint64_t> move_to_node_by(const PageCalls& calls, void* address, std::size_t length,
                                      const Pages& pages, int node);

}  // namespace numapool::platform
