// Whole processes on Windows: no call tells the nodes of another process's pages, or moves them.
#include "platform/process_memory.hpp"

#include "platform/windows/api.hpp"

namespace numapool::platform {

Result<ProcessMemory> process_memory(const std::string&) {
  return windows::no_such("process_memory",
                          "Windows does not tell on which nodes another process's pages are");
}

Result<std::vector<ProcessArea>> private_areas(const std::string&, int, int) {
  return windows::no_such("private_areas",
                          "Windows does not tell on which nodes another process's pages are");
}

Result<std::uint64_t> move_process_pages(int, ProcessArea, int) {
  return windows::no_such("move_process_pages", "Windows does not move pages from node to node");
}

Result<std::uint64_t> migrate_process(int, std::span<const int>, std::span<const int>) {
  return windows::no_such("migrate_process", "Windows does not move pages from node to node");
}

}  // namespace numapool::platform
