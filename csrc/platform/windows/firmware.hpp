// The firmware's tables: memory and distances of nodes (ACPI), the machine's names (SMBIOS).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace numapool::platform::windows {

// Bytes of memory by node, from the SRAT; empty if there is none. Hot-pluggable ranges are left
// out, as they may contain no memory.
[[nodiscard]] std::map<int, std::uint64_t> memory_by_node();

// The distances between these nodes, from the SLIT; empty if there is none, or it makes no sense.
[[nodiscard]] std::vector<std::vector<int>> distances(const std::vector<int>& nodes);

struct MachineNames {
  std::string product;
  std::vector<std::string> vendors;  // of the system, the board and the BIOS, those that there are
};
[[nodiscard]] MachineNames machine_names();

}  // namespace numapool::platform::windows
