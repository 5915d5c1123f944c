// The real functions of Windows: those that came late are looked up by name.
#include "platform/windows/api.hpp"

#include <atomic>

namespace numapool::platform::windows {
namespace {

std::atomic<const Api*> replaced{nullptr};

// kernelbase.dll has the functions that kernel32.dll does not export (VirtualAlloc2).
template <class Function>
Function late(const char* name) noexcept {
  for (const wchar_t* const library : {L"kernel32.dll", L"kernelbase.dll"}) {
    HMODULE const module = ::GetModuleHandleW(library);
    if (module == nullptr) continue;
    if (const FARPROC found = ::GetProcAddress(module, name))
      return reinterpret_cast<Function>(reinterpret_cast<void*>(found));
  }
  return nullptr;
}

}  // namespace

const Api& real_api() noexcept {
  static const Api table{
      .GetLogicalProcessorInformationEx = &::GetLogicalProcessorInformationEx,
      .GetNumaHighestNodeNumber = &::GetNumaHighestNodeNumber,
      .GetNumaAvailableMemoryNodeEx = &::GetNumaAvailableMemoryNodeEx,
      .GetNumaProximityNodeEx = &::GetNumaProximityNodeEx,
      .GetNumaProcessorNodeEx = &::GetNumaProcessorNodeEx,
      .GetNumaNodeProcessorMask2 = late<ProcessorMask2Function>("GetNumaNodeProcessorMask2"),
      .GetSystemFirmwareTable = &::GetSystemFirmwareTable,
      .GlobalMemoryStatusEx = &::GlobalMemoryStatusEx,
      .VirtualAllocExNuma = &::VirtualAllocExNuma,
      .VirtualAlloc2 = late<VirtualAlloc2Function>("VirtualAlloc2"),
      .VirtualFree = &::VirtualFree,
      .VirtualLock = &::VirtualLock,
      .QueryWorkingSetEx = &::K32QueryWorkingSetEx,
      .GetLargePageMinimum = &::GetLargePageMinimum,
      .OpenProcessToken = &::OpenProcessToken,
      .LookupPrivilegeValueW = &::LookupPrivilegeValueW,
      .AdjustTokenPrivileges = &::AdjustTokenPrivileges,
      .IsProcessInJob = &::IsProcessInJob,
      .QueryInformationJobObject = &::QueryInformationJobObject,
      .GetProcessMemoryInfo = &::K32GetProcessMemoryInfo,
      .GetProcessWorkingSetSizeEx = &::GetProcessWorkingSetSizeEx,
      .SetProcessWorkingSetSizeEx = &::SetProcessWorkingSetSizeEx,
      .HeapCompact = &::HeapCompact,
      .GetCurrentProcessorNumberEx = &::GetCurrentProcessorNumberEx,
      .GetThreadGroupAffinity = &::GetThreadGroupAffinity,
      .SetThreadGroupAffinity = &::SetThreadGroupAffinity,
      .OpenThread = &::OpenThread,
      .CreateToolhelp32Snapshot = &::CreateToolhelp32Snapshot,
      .Thread32First = &::Thread32First,
      .Thread32Next = &::Thread32Next,
      .GetProcessAffinityMask = &::GetProcessAffinityMask,
      .GetProcessGroupAffinity = &::GetProcessGroupAffinity,
      .GetActiveProcessorGroupCount = &::GetActiveProcessorGroupCount,
      .GetActiveProcessorCount = &::GetActiveProcessorCount,
      .GetSystemCpuSetInformation = late<CpuSetInformationFunction>("GetSystemCpuSetInformation"),
      .SetProcessDefaultCpuSets = late<DefaultCpuSetsFunction>("SetProcessDefaultCpuSets"),
      .CreateMemoryResourceNotification = &::CreateMemoryResourceNotification,
      .QueryMemoryResourceNotification = &::QueryMemoryResourceNotification,
      .WaitForMultipleObjects = &::WaitForMultipleObjects,
      .CreateEventW = &::CreateEventW,
  };
  return table;
}

const Api& api() noexcept {
  const Api* const table = replaced.load(std::memory_order_acquire);
  return table != nullptr ? *table : real_api();
}

void replace_api(const Api* table) noexcept { replaced.store(table, std::memory_order_release); }

}  // namespace numapool::platform::windows
