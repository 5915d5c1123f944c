// The memory of one node, from its meminfo file.
#include "platform/linux/machine/node_memory.hpp"

#include <algorithm>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kRounding = 64;  // per-CPU lists and late reserves are far below 1/64

}  // namespace

std::optional<NodeMemory> parse_node_memory(std::string_view text) {
  const auto total = meminfo_bytes(text, "MemTotal:");
  const auto free = meminfo_bytes(text, "MemFree:");
  if (!total || !free) return std::nullopt;
  const auto bytes = [&](std::string_view key) { return meminfo_bytes(text, key).value_or(0); };
  const std::uint64_t file = bytes("Active(file):") + bytes("Inactive(file):");
  const std::uint64_t unclean = bytes("Dirty:") + bytes("Writeback:");
  return NodeMemory{*total, *free, file > unclean ? file - unclean : 0};
}

bool complete_only_node(NodeMemory& only, std::string_view machine) {
  const std::uint64_t total = meminfo_bytes(machine, "MemTotal:").value_or(0);
  if (!is_far_below(only, total)) return false;
  only.total_bytes = total;
  only.free_bytes =
      std::max(only.free_bytes, meminfo_bytes(machine, "MemFree:").value_or(only.free_bytes));
  return true;
}

bool is_far_below(const NodeMemory& only, std::uint64_t machine_bytes) noexcept {
  return machine_bytes > only.total_bytes &&
         machine_bytes - only.total_bytes > machine_bytes / kRounding;
}

bool is_only_node_with_memory(std::string_view has_memory, int node_id) {
  const auto ids = parse_id_list(has_memory);
  return ids && ids->size() == 1 && ids->front() == node_id;
}

}  // namespace numapool::platform
