// The scripted machine's functions.
#include "windows/scripted.hpp"

#include <cstddef>

namespace numapool::platform::windows::testing {
namespace {

std::vector<unsigned char> relation(bool all_groups) {
  std::vector<unsigned char> out;
  for (const Masks& node : script->nodes) {
    const std::size_t count = all_groups ? node.groups.size() : 1;
    const std::size_t size = offsetof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, NumaNode) + 24 +
                             count * sizeof(GROUP_AFFINITY);
    std::vector<unsigned char> one(size);
    const DWORD kind = RelationNumaNode;
    const auto length = static_cast<DWORD>(size);
    const auto id = static_cast<DWORD>(node.node);
    const auto groups = static_cast<WORD>(all_groups ? count : 0);
    std::memcpy(one.data(), &kind, 4);
    std::memcpy(one.data() + 4, &length, 4);
    std::memcpy(one.data() + 8, &id, 4);
    std::memcpy(one.data() + 30, &groups, 2);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(one.data() + 32 + i * sizeof(GROUP_AFFINITY), &node.groups[i],
                  sizeof(GROUP_AFFINITY));
    }
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

BOOL WINAPI processor_information(LOGICAL_PROCESSOR_RELATIONSHIP kind,
                                  PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX buffer, PDWORD length) {
  if (fails("GetLogicalProcessorInformationEx")) return FALSE;
  if (kind == kRelationNumaNodeEx && !script->knows_all_groups) {
    *length = 0;  // as Wine does
    return TRUE;
  }
  const auto bytes = relation(kind == kRelationNumaNodeEx);
  const bool fits = *length >= bytes.size();
  *length = static_cast<DWORD>(bytes.size());
  if (!fits) {
    ::SetLastError(ERROR_INSUFFICIENT_BUFFER);
    return FALSE;
  }
  std::memcpy(static_cast<void*>(buffer), bytes.data(), bytes.size());
  return TRUE;
}

BOOL WINAPI highest_node(PULONG highest) {
  *highest = script->highest;
  return TRUE;
}

BOOL WINAPI free_of_node(USHORT node, PULONGLONG bytes) {
  const auto found = script->free.find(node);
  if (found == script->free.end()) {
    ::SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
    return FALSE;
  }
  *bytes = found->second;
  return TRUE;
}

// Domains are 100 times the node's number: nobody may take the one for the other.
BOOL WINAPI node_of_domain(ULONG domain, PUSHORT node) {
  *node = static_cast<USHORT>(script->tables.count("SLIT") != 0 ? domain : domain / 100);
  return TRUE;
}

BOOL WINAPI node_of_processor(PPROCESSOR_NUMBER, PUSHORT) {
  ::SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
  return FALSE;
}

UINT WINAPI firmware_table(DWORD provider, DWORD id, PVOID buffer, DWORD size) {
  std::string name = "RSMB";
  if (provider != 0x52534D42) std::memcpy(name.data(), &id, 4);
  const auto found = script->tables.find(name);
  if (found == script->tables.end()) return 0;
  if (size >= found->second.size()) std::memcpy(buffer, found->second.data(), found->second.size());
  return static_cast<UINT>(found->second.size());
}

BOOL WINAPI memory_status(LPMEMORYSTATUSEX status) {
  if (fails("GlobalMemoryStatusEx")) return FALSE;
  *status = script->memory;
  return TRUE;
}

LPVOID WINAPI allocate(HANDLE process, LPVOID where, SIZE_T length, DWORD kind, DWORD protection,
                       DWORD node) {
  if (fails((kind & MEM_RESERVE) != 0 ? "VirtualAllocExNuma" : "commit")) return nullptr;
  // The nodes are made up: the real machine is asked for memory anywhere.
  void* const got = real_api().VirtualAllocExNuma(
      process, where, length, kind & ~DWORD{MEM_LARGE_PAGES}, protection, NUMA_NO_PREFERRED_NODE);
  if (got != nullptr && (kind & MEM_RESERVE) != 0)
    script->reserved[reinterpret_cast<std::uintptr_t>(got)] = {length, node};
  return got;
}

BOOL WINAPI release(LPVOID address, SIZE_T length, DWORD kind) {
  if (fails(kind == MEM_DECOMMIT ? "decommit" : "VirtualFree")) return FALSE;
  if (kind == MEM_RELEASE) script->reserved.erase(reinterpret_cast<std::uintptr_t>(address));
  return real_api().VirtualFree(address, length, kind);
}

// A page is on the node that its range was reserved with, as long as the node has room; what is
// beyond is on the node to which it spills.
BOOL WINAPI working_set(HANDLE, PVOID data, DWORD size) {
  if (fails("QueryWorkingSetEx")) return FALSE;
  auto* const questions = static_cast<PSAPI_WORKING_SET_EX_INFORMATION*>(data);
  for (std::size_t i = 0; i < size / sizeof *questions; ++i) {
    auto& answer = questions[i].VirtualAttributes;
    answer.Flags = 0;
    const auto page = reinterpret_cast<std::uintptr_t>(questions[i].VirtualAddress);
    for (const auto& [begin, one] : script->reserved) {
      if (page < begin || page >= begin + one.length) continue;
      answer.Valid = 1;
      const auto room = script->room.find(one.node);
      const bool fits = room == script->room.end() || page - begin < room->second;
      const DWORD node = one.node == NUMA_NO_PREFERRED_NODE ? 0 : one.node;
      answer.Node = (fits ? node : script->spills_to) & 63;
    }
  }
  return TRUE;
}

BOOL WINAPI lock_pages(LPVOID, SIZE_T) { return fails("VirtualLock") ? FALSE : TRUE; }

SIZE_T WINAPI large_page() { return SIZE_T{2} << 20; }

BOOL WINAPI adjust_privileges(HANDLE, BOOL, PTOKEN_PRIVILEGES, DWORD, PTOKEN_PRIVILEGES, PDWORD) {
  ::SetLastError(fails("AdjustTokenPrivileges") ? DWORD{ERROR_NOT_ALL_ASSIGNED}
                                                : DWORD{ERROR_SUCCESS});
  return TRUE;  // as Windows answers when it granted nothing, too
}

BOOL WINAPI in_job(HANDLE, HANDLE, PBOOL inside) {
  *inside = script->in_job ? TRUE : FALSE;
  return TRUE;
}

BOOL WINAPI job_information(HANDLE, JOBOBJECTINFOCLASS kind, LPVOID out, DWORD size, LPDWORD) {
  if (fails("QueryInformationJobObject")) return FALSE;
  if (kind == JobObjectExtendedLimitInformation && size == sizeof script->limits) {
    std::memcpy(out, &script->limits, size);
    return TRUE;
  }
  if (kind == kJobMemoryUsage && script->job_memory) {
    const JobMemoryUsage usage{*script->job_memory, *script->job_memory};
    std::memcpy(out, &usage, sizeof usage);
    return TRUE;
  }
  ::SetLastError(ERROR_INVALID_PARAMETER);
  return FALSE;
}

BOOL WINAPI working_set_size(HANDLE, PSIZE_T least, PSIZE_T most, PDWORD flags) {
  *least = 200 << 10;
  *most = 1400 << 10;
  *flags = 0;
  return TRUE;
}

BOOL WINAPI set_working_set_size(HANDLE, SIZE_T, SIZE_T, DWORD) {
  return fails("SetProcessWorkingSetSizeEx") ? FALSE : TRUE;
}

VOID WINAPI current_processor(PPROCESSOR_NUMBER here) {
  here->Group = 1;
  here->Number = 2;
}

std::map<HANDLE, DWORD> opened_threads;

// Handles of threads are events, for they are closed; 0 stands for the calling thread's.
DWORD thread_of(HANDLE handle) {
  return handle == ::GetCurrentThread() ? 0 : opened_threads.at(handle);
}

HANDLE WINAPI open_thread(DWORD, BOOL, DWORD thread) {
  if (fails("OpenThread")) return nullptr;
  if (script->threads.count(thread) == 0) {
    ::SetLastError(ERROR_INVALID_PARAMETER);
    return nullptr;
  }
  HANDLE const handle = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
  opened_threads[handle] = thread;
  return handle;
}

BOOL WINAPI get_affinity(HANDLE handle, PGROUP_AFFINITY out) {
  if (fails("GetThreadGroupAffinity")) return FALSE;
  *out = script->threads.at(thread_of(handle));
  return TRUE;
}

// A machine without groups takes whatever it is given.
BOOL WINAPI set_affinity(HANDLE handle, const GROUP_AFFINITY* wanted, PGROUP_AFFINITY) {
  if (fails("SetThreadGroupAffinity")) return FALSE;
  script->affinities.push_back(*wanted);
  if (script->groups.empty()) return TRUE;
  if (wanted->Group >= script->groups.size() ||
      wanted->Mask >> script->groups[wanted->Group] != 0) {
    ::SetLastError(ERROR_INVALID_PARAMETER);
    return FALSE;
  }
  script->threads[thread_of(handle)] = *wanted;
  return TRUE;
}

BOOL WINAPI affinity_mask(HANDLE, PDWORD_PTR own, PDWORD_PTR every) {
  if (fails("GetProcessAffinityMask")) return FALSE;
  *own = script->own_mask;
  *every = script->every_mask;
  return TRUE;
}

BOOL WINAPI group_affinity(HANDLE, PUSHORT count, PUSHORT groups) {
  *count = 1;
  *groups = script->own_group;
  return TRUE;
}

WORD WINAPI group_count() { return static_cast<WORD>(script->groups.size()); }
DWORD WINAPI processor_count(WORD group) { return script->groups.at(group); }

// The threads, then those of another process.
std::vector<std::pair<DWORD, DWORD>> listed;
std::size_t next_listed = 0;

HANDLE WINAPI snapshot(DWORD, DWORD) {
  if (fails("CreateToolhelp32Snapshot")) return INVALID_HANDLE_VALUE;
  listed.clear();
  next_listed = 0;
  for (const auto& [thread, affinity] : script->threads) {
    if (thread != 0) listed.emplace_back(::GetCurrentProcessId(), thread);
  }
  for (const DWORD thread : script->foreign_threads)
    listed.emplace_back(::GetCurrentProcessId() + 1, thread);
  return ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
}

BOOL WINAPI next_thread(HANDLE, LPTHREADENTRY32 entry) {
  if (fails("Thread32Next") || entry->dwSize != sizeof *entry) return FALSE;
  if (next_listed == listed.size()) {
    ::SetLastError(ERROR_NO_MORE_FILES);
    return FALSE;
  }
  entry->th32OwnerProcessID = listed[next_listed].first;
  entry->th32ThreadID = listed[next_listed].second;
  ++next_listed;
  return TRUE;
}

// One entry of 32 bytes for each CPU; ids begin at 256.
BOOL WINAPI cpu_sets(void* into, ULONG size, PULONG needed, HANDLE, ULONG) {
  if (fails("GetSystemCpuSetInformation")) return FALSE;
  std::vector<unsigned char> all;
  for (std::size_t group = 0; group < script->groups.size(); ++group) {
    for (DWORD bit = 0; bit < script->groups[group]; ++bit) {
      const DWORD id = 256 + static_cast<DWORD>(all.size() / 32);
      const DWORD words[8] = {32, 0, id, static_cast<DWORD>(group) | bit << 16, 0, 0, 0, 0};
      const auto* const bytes = reinterpret_cast<const unsigned char*>(words);
      all.insert(all.end(), bytes, bytes + sizeof words);
    }
  }
  *needed = static_cast<ULONG>(all.size());
  if (into == nullptr || size < all.size()) {
    ::SetLastError(ERROR_INSUFFICIENT_BUFFER);
    return FALSE;
  }
  std::memcpy(into, all.data(), all.size());
  return TRUE;
}

BOOL WINAPI default_cpu_sets(HANDLE, const ULONG* ids, ULONG count) {
  if (fails("SetProcessDefaultCpuSets")) return FALSE;
  script->default_cpu_sets.assign(ids, ids + count);
  return TRUE;
}

HANDLE WINAPI notification(MEMORY_RESOURCE_NOTIFICATION_TYPE) {
  if (fails("CreateMemoryResourceNotification")) return nullptr;
  return ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
}

BOOL WINAPI query_notification(HANDLE, PBOOL state) {
  *state = script->low ? TRUE : FALSE;
  return TRUE;
}

// Low comes when the test says so; nothing else ends a wait.
DWORD WINAPI wait_for(DWORD count, const HANDLE* handles, BOOL, DWORD) {
  script->waited_for.assign(handles, handles + count);
  return script->low && count == 2 ? WAIT_OBJECT_0 + 1 : DWORD{WAIT_TIMEOUT};
}

}  // namespace

Api scripted_api() {
  Api table = real_api();
  table.GetLogicalProcessorInformationEx = &processor_information;
  table.GetNumaHighestNodeNumber = &highest_node;
  table.GetNumaAvailableMemoryNodeEx = &free_of_node;
  table.GetNumaProximityNodeEx = &node_of_domain;
  table.GetNumaProcessorNodeEx = &node_of_processor;
  table.GetNumaNodeProcessorMask2 = nullptr;
  table.GetSystemFirmwareTable = &firmware_table;
  table.GlobalMemoryStatusEx = &memory_status;
  table.VirtualAllocExNuma = &allocate;
  table.VirtualAlloc2 = nullptr;
  table.VirtualFree = &release;
  table.VirtualLock = &lock_pages;
  table.QueryWorkingSetEx = &working_set;
  table.GetLargePageMinimum = &large_page;
  table.AdjustTokenPrivileges = &adjust_privileges;
  table.IsProcessInJob = &in_job;
  table.QueryInformationJobObject = &job_information;
  table.GetProcessWorkingSetSizeEx = &working_set_size;
  table.SetProcessWorkingSetSizeEx = &set_working_set_size;
  table.GetCurrentProcessorNumberEx = &current_processor;
  table.SetThreadGroupAffinity = &set_affinity;
  table.GetThreadGroupAffinity = &get_affinity;
  table.OpenThread = &open_thread;
  table.CreateToolhelp32Snapshot = &snapshot;
  table.Thread32First = &next_thread;
  table.Thread32Next = &next_thread;
  table.GetProcessAffinityMask = &affinity_mask;
  table.GetProcessGroupAffinity = &group_affinity;
  table.GetActiveProcessorGroupCount = &group_count;
  table.GetActiveProcessorCount = &processor_count;
  table.GetSystemCpuSetInformation = &cpu_sets;
  table.SetProcessDefaultCpuSets = &default_cpu_sets;
  table.CreateMemoryResourceNotification = &notification;
  table.QueryMemoryResourceNotification = &query_notification;
  table.WaitForMultipleObjects = &wait_for;
  return table;
}

}  // namespace numapool::platform::windows::testing
