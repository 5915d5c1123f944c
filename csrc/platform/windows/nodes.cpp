// Reads the nodes: with RelationNumaNodeEx if it works, else with RelationNumaNode. Nodes without
// CPUs are found by their free memory.
#include "platform/windows/nodes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace numapool::platform::windows {
namespace {

// Of NUMA_NODE_RELATIONSHIP as Windows 11 has it: older headers call the count reserved.
constexpr std::size_t kNodeAt = offsetof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, NumaNode);
constexpr std::size_t kCountAt = kNodeAt + 22;
constexpr std::size_t kMasksAt = kNodeAt + 24;
constexpr ULONG kMostNodes = 1024;

using CpusByNode = std::map<int, std::vector<int>>;

void add_cpus(const GROUP_AFFINITY& mask, std::vector<int>& cpus) {
  for (int bit = 0; bit < kCpusPerGroup; ++bit) {
    if ((mask.Mask >> bit & 1) != 0) cpus.push_back(mask.Group * kCpusPerGroup + bit);
  }
}

template <class T>
T read_at(const std::vector<char>& bytes, std::size_t at) noexcept {
  T out{};
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

// Nothing is taken on trust: Wine answers the newer question with success and no byte.
CpusByNode parse(const std::vector<char>& bytes) {
  CpusByNode out;
  for (std::size_t at = 0; at + kMasksAt + sizeof(GROUP_AFFINITY) <= bytes.size();) {
    const std::size_t size =
        read_at<DWORD>(bytes, at + offsetof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, Size));
    if (size < kMasksAt + sizeof(GROUP_AFFINITY) || size > bytes.size() - at) break;
    const auto node = static_cast<int>(read_at<DWORD>(bytes, at + kNodeAt));
    const std::size_t told = std::max<std::size_t>(read_at<WORD>(bytes, at + kCountAt), 1);
    const std::size_t count = std::min(told, (size - kMasksAt) / sizeof(GROUP_AFFINITY));
    std::vector<int>& cpus = out[node];
    for (std::size_t i = 0; i < count; ++i) {
      add_cpus(read_at<GROUP_AFFINITY>(bytes, at + kMasksAt + i * sizeof(GROUP_AFFINITY)), cpus);
    }
    at += size;
  }
  return out;
}

Result<CpusByNode> ask(LOGICAL_PROCESSOR_RELATIONSHIP relation) {
  std::vector<char> bytes;
  DWORD length = 0;
  // A CPU may come between the two calls, and make the answer longer.
  for (int tries = 0; tries < 8; ++tries) {
    auto* const buffer = reinterpret_cast<PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX>(bytes.data());
    if (api().GetLogicalProcessorInformationEx(relation, bytes.empty() ? nullptr : buffer,
                                               &length) != FALSE) {
      bytes.resize(std::min<std::size_t>(bytes.size(), length));
      return parse(bytes);
    }
    const DWORD error = ::GetLastError();
    if (error != ERROR_INSUFFICIENT_BUFFER) {
      return failed("GetLogicalProcessorInformationEx", error, "the nodes");
    }
    bytes.resize(length);
  }
  return failed("GetLogicalProcessorInformationEx", ERROR_INSUFFICIENT_BUFFER, "the nodes");
}

// The older answer has one group of a node; this call has them all.
void add_other_groups(int node, std::vector<int>& cpus) {
  if (api().GetNumaNodeProcessorMask2 == nullptr) return;
  GROUP_AFFINITY masks[64] = {};
  USHORT count = 0;
  if (api().GetNumaNodeProcessorMask2(static_cast<USHORT>(node), masks, 64, &count) == FALSE)
    return;
  for (USHORT i = 0; i < std::min<USHORT>(count, 64); ++i) add_cpus(masks[i], cpus);
}

// The highest number is a bound, not a count: ids may be missing, and Wine always says 0.
void add_memory_alone(CpusByNode& nodes) {
  ULONG highest = 0;
  if (api().GetNumaHighestNodeNumber(&highest) == FALSE) return;
  for (ULONG id = 0; id <= std::min(highest, kMostNodes - 1); ++id) {
    ULONGLONG free = 0;
    if (nodes.count(static_cast<int>(id)) != 0) continue;
    if (api().GetNumaAvailableMemoryNodeEx(static_cast<USHORT>(id), &free) != FALSE && free != 0)
      nodes[static_cast<int>(id)];
  }
}

std::vector<int> all_cpus() {
  std::vector<int> cpus;
  const WORD groups = std::max<WORD>(::GetActiveProcessorGroupCount(), 1);
  for (WORD group = 0; group < groups; ++group) {
    const DWORD count = ::GetActiveProcessorCount(group);
    for (DWORD i = 0; i < count; ++i) cpus.push_back(group * kCpusPerGroup + static_cast<int>(i));
  }
  return cpus;
}

}  // namespace

Result<std::vector<NodeCpus>> read_nodes() {
  CpusByNode nodes;
  if (auto newer = ask(kRelationNumaNodeEx)) nodes = std::move(newer).value();
  if (nodes.empty()) {
    Result<CpusByNode> older = ask(RelationNumaNode);
    if (!older && !is_denied(older.failure())) return older.failure();
    if (older) nodes = std::move(older).value();
    for (auto& [id, cpus] : nodes) add_other_groups(id, cpus);
  }
  add_memory_alone(nodes);
  if (nodes.empty()) nodes[0] = all_cpus();
  std::vector<NodeCpus> out;
  for (auto& [id, cpus] : nodes) {
    std::sort(cpus.begin(), cpus.end());
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    out.push_back({id, std::move(cpus)});
  }
  return out;
}

Result<std::uint64_t> free_bytes_of(int node_id) {
  ULONGLONG free = 0;
  if (api().GetNumaAvailableMemoryNodeEx(static_cast<USHORT>(node_id), &free) != FALSE) return free;
  const DWORD error = ::GetLastError();
  const std::string name = "node " + std::to_string(node_id);
  const auto nodes = read_nodes();
  if (nodes && nodes.value().size() == 1 && nodes.value().front().node_id == node_id) {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (api().GlobalMemoryStatusEx(&status) != FALSE) return std::uint64_t{status.ullAvailPhys};
  }
  return failed("GetNumaAvailableMemoryNodeEx", error, name);
}

}  // namespace numapool::platform::windows
