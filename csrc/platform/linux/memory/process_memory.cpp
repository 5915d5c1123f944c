// The memory of a whole process: /proc/PID/numa_maps added up, and migrate_pages(2).
#include "platform/process_memory.hpp"

#include <unistd.h>

#include <cerrno>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/numa_maps.hpp"

namespace numapool::platform {

Result<ProcessMemory> process_memory(const std::string& folder) {
  const std::string path = folder + "/numa_maps";
  NumaMaps file(path.c_str(), static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  ProcessMemory out;
  MappedPages line;
  bool told_by_stack = false;
  while (file.next(line)) {
    ++out.mappings;
    if (!line.pages_by_node.empty()) {
      std::map<int, std::uint64_t>& sum = out.bytes[line.use];
      for (const auto& [node, pages] : line.pages_by_node) {
        sum[node] += pages * line.page_bytes;
        if (line.shared) out.shared_bytes[node] += pages * line.page_bytes;
      }
    }
    // A mapping without a policy of its own is shown with the thread's (show_numa_map() in
    // fs/proc/task_mmu.c). Hardly anybody gives the stack one.
    if (!told_by_stack && (out.mappings == 1 || line.use == PageUse::kStack)) {
      out.policy = line.policy;
      told_by_stack = line.use == PageUse::kStack;
    }
  }
  if (file.error() != 0) return failed("read", file.error(), path);
  return out;
}

Result<std::uint64_t> migrate_process(int process, std::span<const int> from,
                                      std::span<const int> to) {
  const long stayed = kernel::migrate_pages(process, NodeMask(from), NodeMask(to));
  if (stayed < 0) return failed("migrate_pages", errno, "process " + std::to_string(process));
  return static_cast<std::uint64_t>(stayed);
}

}  // namespace numapool::platform
