// The memory of one node, from its meminfo file: the one reader for totals, free memory, room and
// pressure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace numapool::platform {

struct NodeMemory {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t clean_file_bytes = 0;  // file pages that reclaim can drop at once
};

// From the text of nodeN/meminfo. Nothing if MemTotal or MemFree is missing or is not a size.
[[nodiscard]] std::optional<NodeMemory> parse_node_memory(std::string_view text);

// A kernel that initializes memory on demand counts it for the machine at once, and for the node as
// it is used. So the figures of a node that has all the memory are raised to /proc/meminfo's
// (`machine`), where these are larger by more than a kernel's own rounding: by 1/64. Otherwise a
// node's figures are its own meminfo's, the ones that numactl -H prints. True if they were raised.
bool complete_only_node(NodeMemory& only, std::string_view machine);

// Whether a node is so far below the machine's MemTotal that the call above would raise it.
[[nodiscard]] bool is_far_below(const NodeMemory& only, std::uint64_t machine_bytes) noexcept;

// Whether the text of has_memory names this node alone.
[[nodiscard]] bool is_only_node_with_memory(std::string_view has_memory, int node_id);

}  // namespace numapool::platform
