// The firmware's tables: memory and distances of nodes (ACPI), the machine's names (SMBIOS).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace numapool::platform::windows {

// Bytes of memory by node, from the SRAT; empty where there is none. Memory that may be plugged out
// is left out: such ranges may hold nothing.
[[nodiscard]] std::map<int, std::uint64_t> memory_by_node();

// The distances between these nodes, from the SLIT; empty where there is none, or one that makes no
// sense.
[[nodiscard]] std::vector<std::vector<int>> distances(const std::vector<int>& nodes);

struct MachineNames {
  std::string product;
  std::vector<std::string> vendors;  // of the system, the board and the BIOS, those that there are
};
[[nodiscard]] MachineNames machine_names();

}  // namespace numapool::platform::windows
