// The functions of Windows that numapool calls on behalf of a machine that tests can script: a
// table that tests replace.
#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
// After windows.h, which they do not include.
#include <psapi.h>
#include <tlhelp32.h>

#include <string>

#include "platform/result.hpp"

namespace numapool::platform::windows {

// Declarations that headers before Windows 10's last versions lack.
inline constexpr auto kRelationNumaNodeEx = static_cast<LOGICAL_PROCESSOR_RELATIONSHIP>(6);
inline constexpr auto kJobMemoryUsage = static_cast<JOBOBJECTINFOCLASS>(28);
inline constexpr DWORD kMemReservePlaceholder = 0x40000;
inline constexpr DWORD kMemReplacePlaceholder = 0x4000;
inline constexpr DWORD kMemPreservePlaceholder = 0x2;
struct JobMemoryUsage {  // JOBOBJECT_MEMORY_USAGE_INFORMATION
  ULONG64 job_memory;
  ULONG64 peak_job_memory_used;
};
struct ExtendedParameter {  // MEM_EXTENDED_PARAMETER with a number in it
  DWORD64 type;
  DWORD64 value;
};
inline constexpr DWORD64 kExtendedNumaNode = 2;

using VirtualAlloc2Function = PVOID(WINAPI*)(HANDLE, PVOID, SIZE_T, ULONG, ULONG,
                                             ExtendedParameter*, ULONG);
using CpuSetInformationFunction = BOOL(WINAPI*)(void*, ULONG, PULONG, HANDLE, ULONG);
using DefaultCpuSetsFunction = BOOL(WINAPI*)(HANDLE, const ULONG*, ULONG);
using ProcessorMask2Function = BOOL(WINAPI*)(USHORT, PGROUP_AFFINITY, USHORT, PUSHORT);

// Members are named as the functions are. Those that Windows got after version 8 are looked up at
// run time and null where they are absent.
struct Api {
  decltype(&::GetLogicalProcessorInformationEx) GetLogicalProcessorInformationEx;
  decltype(&::GetNumaHighestNodeNumber) GetNumaHighestNodeNumber;
  decltype(&::GetNumaAvailableMemoryNodeEx) GetNumaAvailableMemoryNodeEx;
  decltype(&::GetNumaProximityNodeEx) GetNumaProximityNodeEx;
  decltype(&::GetNumaProcessorNodeEx) GetNumaProcessorNodeEx;
  ProcessorMask2Function GetNumaNodeProcessorMask2;  // may be null
  decltype(&::GetSystemFirmwareTable) GetSystemFirmwareTable;
  decltype(&::GlobalMemoryStatusEx) GlobalMemoryStatusEx;

  decltype(&::VirtualAllocExNuma) VirtualAllocExNuma;
  VirtualAlloc2Function VirtualAlloc2;  // may be null
  decltype(&::VirtualFree) VirtualFree;
  decltype(&::VirtualLock) VirtualLock;
  decltype(&::K32QueryWorkingSetEx) QueryWorkingSetEx;
  decltype(&::GetLargePageMinimum) GetLargePageMinimum;
  decltype(&::OpenProcessToken) OpenProcessToken;
  decltype(&::LookupPrivilegeValueW) LookupPrivilegeValueW;
  decltype(&::AdjustTokenPrivileges) AdjustTokenPrivileges;
  decltype(&::IsProcessInJob) IsProcessInJob;
  decltype(&::QueryInformationJobObject) QueryInformationJobObject;
  decltype(&::K32GetProcessMemoryInfo) GetProcessMemoryInfo;
  decltype(&::GetProcessWorkingSetSizeEx) GetProcessWorkingSetSizeEx;
  decltype(&::SetProcessWorkingSetSizeEx) SetProcessWorkingSetSizeEx;
  decltype(&::HeapCompact) HeapCompact;

  decltype(&::GetCurrentProcessorNumberEx) GetCurrentProcessorNumberEx;
  decltype(&::GetThreadGroupAffinity) GetThreadGroupAffinity;
  decltype(&::SetThreadGroupAffinity) SetThreadGroupAffinity;
  decltype(&::OpenThread) OpenThread;
  decltype(&::CreateToolhelp32Snapshot) CreateToolhelp32Snapshot;
  decltype(&::Thread32First) Thread32First;
  decltype(&::Thread32Next) Thread32Next;
  decltype(&::GetProcessAffinityMask) GetProcessAffinityMask;
  decltype(&::GetProcessGroupAffinity) GetProcessGroupAffinity;
  decltype(&::GetActiveProcessorGroupCount) GetActiveProcessorGroupCount;
  decltype(&::GetActiveProcessorCount) GetActiveProcessorCount;
  CpuSetInformationFunction GetSystemCpuSetInformation;  // may be null
  DefaultCpuSetsFunction SetProcessDefaultCpuSets;       // may be null

  decltype(&::CreateMemoryResourceNotification) CreateMemoryResourceNotification;
  decltype(&::QueryMemoryResourceNotification) QueryMemoryResourceNotification;
  decltype(&::WaitForMultipleObjects) WaitForMultipleObjects;
  decltype(&::CreateEventW) CreateEventW;
};

// The real machine's.
[[nodiscard]] const Api& real_api() noexcept;
// The one in force.
[[nodiscard]] const Api& api() noexcept;
// For tests, with no other thread in numapool; null puts the real one back. `table` must live on.
void replace_api(const Api* table) noexcept;

// errno's nearest equivalent of a Windows error; EIO if there is none.
[[nodiscard]] int errno_of(DWORD error) noexcept;
// The system's message with its number: "Windows error 5: Access is denied".
[[nodiscard]] std::string error_text(DWORD error);
// A failure of `call` on what `detail` names, with the system's words added.
[[nodiscard]] Failure failed(const char* call, DWORD error, const std::string& detail = {});
// Something that Windows has no way to do, and why.
[[nodiscard]] Failure no_such(const char* job, std::string why);

[[nodiscard]] std::string to_utf8(const wchar_t* text);
[[nodiscard]] std::wstring to_wide(const std::string& text);

// A handle that is closed at the end of its scope. Null and INVALID_HANDLE_VALUE count as empty.
class Handle {
 public:
  Handle() = default;
  explicit Handle(HANDLE handle) noexcept
      : handle_(handle == INVALID_HANDLE_VALUE ? nullptr : handle) {}
  ~Handle() {
    if (handle_ != nullptr) ::CloseHandle(handle_);
  }
  Handle(Handle&& other) noexcept : handle_(other.release()) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  [[nodiscard]] HANDLE get() const noexcept { return handle_; }
  [[nodiscard]] bool ok() const noexcept { return handle_ != nullptr; }
  HANDLE release() noexcept {
    HANDLE const handle = handle_;
    handle_ = nullptr;
    return handle;
  }

 private:
  HANDLE handle_ = nullptr;
};

}  // namespace numapool::platform::windows
