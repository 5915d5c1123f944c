// The scripted machine's hypervisor, balloon and free memory.
#pragma once

#include "platform/host.hpp"

namespace numapool::platform::fake {

// The answers of the functions in platform/host.hpp, whatever the root.
struct HostScript {
  Result<std::vector<Clue>> clues{std::vector<Clue>{}};
  Result<BalloonRecord> balloon{BalloonRecord{}};
  Result<ReportingOrder> order{ReportingOrder{9, false, 4096}};
  Result<std::vector<std::uint64_t>> free_bytes{std::vector<std::uint64_t>{}};
  Status compaction{Done{}};
  Result<ResidentBytes> resident{ResidentBytes{}};
  bool has_heap_call = true;
  int compactions = 0;
  int heap_trims = 0;
};

[[nodiscard]] HostScript& host_script();
void reset_host();

}  // namespace numapool::platform::fake
