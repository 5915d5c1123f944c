// Whole processes where the system is unknown: it does not tell where their pages are.
#include "platform/process_memory.hpp"

namespace numapool::platform {

Result<ProcessMemory> process_memory(const std::string& folder) {
  return Failure{Cause::kUnsupported, "process_memory", 0, folder};
}

Result<std::vector<ProcessArea>> private_areas(const std::string& folder, int, int) {
  return Failure{Cause::kUnsupported, "private_areas", 0, folder};
}

Result<std::uint64_t> move_process_pages(int, ProcessArea, int) {
  return Failure{Cause::kUnsupported, "move_process_pages", 0, {}};
}

Result<std::uint64_t> migrate_process(int, std::span<const int>, std::span<const int>) {
  return Failure{Cause::kUnsupported, "migrate_process", 0, {}};
}

}  // namespace numapool::platform
