// The machine as one node, where the kernel tells of no nodes.
#include "platform/linux/machine/whole_machine.hpp"

#include <sched.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kAskedElsewhere = "the machine's memory is asked of the kernel, or unknown";

struct CpuSetFreer {
  void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};

std::vector<int> online_cpus(const Folder& root, Notes& notes) {
  const Folder cpus = root.folder("sys/devices/system/cpu");
  if (!cpus.ok()) {
    notes.add_unreadable(root, "sys/devices/system/cpu", errno, "the CPUs are unknown");
    return {};
  }
  for (const char* const file : {"online", "present"}) {
    auto ids = read_ids(cpus, file, kLargestId, "is not a list of CPUs");
    if (!ids) notes.add(ids.failure(), "the next best list says which CPUs there are");
    if (ids && ids.value() && !ids.value()->empty()) return *std::move(ids).value();
  }
  return numbered(cpus.names(), "cpu", kLargestId);
}

// A sandbox without /sys: the CPUs that this process may run on are those that count.
std::vector<int> own_cpus() {
  std::vector<int> cpus;
  const std::unique_ptr<cpu_set_t, CpuSetFreer> set(CPU_ALLOC(kMaxCpus));
  const std::size_t bytes = CPU_ALLOC_SIZE(kMaxCpus);
  if (!set || sched_getaffinity(0, bytes, set.get()) != 0) return cpus;
  for (std::size_t cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, bytes, set.get())) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

// A sandbox without /proc.
std::optional<std::uint64_t> own_memory_bytes() {
  struct sysinfo info{};
  if (sysinfo(&info) != 0) return std::nullopt;
  return std::uint64_t{info.totalram} * info.mem_unit;
}

}  // namespace

std::vector<int> numbered(const std::vector<std::string>& names, std::string_view prefix,
                          int largest) {
  std::vector<int> ids;
  for (const std::string& name : names) {
    const std::string_view whole = name;
    if (!whole.starts_with(prefix)) continue;
    const std::string_view digits = whole.substr(prefix.size());
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
      continue;
    const auto id = parse_id_list(digits, largest);
    if (id) ids.push_back(id->front());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());  // "node1" and "node01"
  return ids;
}

Result<TopologyRecord> read_whole_machine(const Folder& root, Notes notes) {
  NodeRecord node;
  node.cpus = online_cpus(root, notes);
  const auto meminfo = root.read("proc/meminfo");
  if (!meminfo) notes.add_unreadable(root, "proc/meminfo", errno, kAskedElsewhere);
  node.total_memory_bytes = meminfo ? meminfo_bytes(*meminfo, "MemTotal:") : std::nullopt;
  if (meminfo && !node.total_memory_bytes)
    notes.add(root.nonsense("proc/meminfo", *meminfo, "has no MemTotal in kB"), kAskedElsewhere);
  if (root.path() == "/") {
    if (node.cpus.empty()) node.cpus = own_cpus();
    if (!node.total_memory_bytes) node.total_memory_bytes = own_memory_bytes();
  } else if (!meminfo && node.cpus.empty()) {
    if (const Failure* const nonsense = notes.nonsense()) return *nonsense;
    return Failure{Cause::kUnintelligible, root.path(), 0,
                   "it holds none of sys/devices/system/node, sys/devices/system/cpu and "
                   "proc/meminfo"};
  }
  if (const Failure* const shortage = notes.shortage()) return *shortage;
  node.kind = MemoryKind::kDram;
  node.kind_evidence = "the kernel tells of no nodes: it is all the memory there is";
  TopologyRecord record;
  record.nodes.push_back(std::move(node));
  record.allowed = {0};
  record.notes = std::move(notes).take();
  return record;
}

}  // namespace numapool::platform
