// The CPUs of threads on Windows: processor groups, affinity within one of them, and CPU sets.
//
// Sources: "Processor Groups", "SetThreadGroupAffinity" and "CPU Sets" in Microsoft's Win32
// documentation.
#include "platform/thread_cpus.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "platform/windows/nodes.hpp"
#include "platform/windows/thread_groups.hpp"

namespace numapool::platform {
namespace {

using windows::api;
using windows::Handle;
using windows::kCpusPerGroup;

constexpr int kMostGroups = 64;

void add_cpus(WORD group, KAFFINITY mask, std::vector<int>& cpus) {
  for (int bit = 0; bit < kCpusPerGroup; ++bit) {
    if ((mask >> bit & 1) != 0) cpus.push_back(group * kCpusPerGroup + bit);
  }
}

// A thread's handle: the calling one's needs no closing.
struct Thread {
  Handle opened;
  HANDLE handle = nullptr;
};

Result<Thread> open_thread(ThreadId thread) {
  if (thread == 0) return Thread{Handle(), ::GetCurrentThread()};
  Handle opened(api().OpenThread(THREAD_SET_INFORMATION | THREAD_QUERY_INFORMATION, FALSE, thread));
  if (!opened.ok()) {
    const DWORD error = ::GetLastError();
    if (error == ERROR_INVALID_PARAMETER)
      return Failure{Cause::kOther, "OpenThread", ESRCH, "thread " + std::to_string(thread)};
    return windows::failed("OpenThread", error);
  }
  HANDLE const handle = opened.get();
  return Thread{std::move(opened), handle};
}

struct CpuSet {
  int cpu = 0;
  ULONG id = 0;
};

// SYSTEM_CPU_SET_INFORMATION of winnt.h, as far as it is read here: entries say how long they are.
struct CpuSetEntry {
  DWORD size;
  DWORD type;
  DWORD id;
  WORD group;
  BYTE number;
};

Result<std::vector<CpuSet>> cpu_sets() {
  if (api().GetSystemCpuSetInformation == nullptr)
    return windows::no_such("GetSystemCpuSetInformation", "this Windows does not have it");
  ULONG size = 0;
  api().GetSystemCpuSetInformation(nullptr, 0, &size, ::GetCurrentProcess(), 0);
  std::vector<unsigned char> held(size);
  if (api().GetSystemCpuSetInformation(held.data(), size, &size, ::GetCurrentProcess(), 0) == FALSE)
    return windows::failed("GetSystemCpuSetInformation", ::GetLastError());
  std::vector<CpuSet> found;
  const std::size_t end = std::min<std::size_t>(size, held.size());
  for (std::size_t at = 0; at + sizeof(CpuSetEntry) <= end;) {
    CpuSetEntry entry;
    std::memcpy(&entry, held.data() + at, sizeof entry);
    found.push_back({entry.group * kCpusPerGroup + entry.number, entry.id});
    if (entry.size == 0) break;
    at += entry.size;
  }
  return found;
}

}  // namespace

DWORD windows::run_in_one_group(HANDLE thread, std::span<const int> cpus) noexcept {
  static std::atomic<unsigned> turn{0};
  std::array<KAFFINITY, kMostGroups> masks{};
  unsigned used = 0;
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= kMostGroups * kCpusPerGroup) continue;
    KAFFINITY& mask = masks[static_cast<std::size_t>(cpu / kCpusPerGroup)];
    if (mask == 0) ++used;
    mask |= KAFFINITY{1} << (cpu % kCpusPerGroup);
  }
  if (used == 0) return ERROR_INVALID_PARAMETER;
  unsigned skip = turn.fetch_add(1, std::memory_order_relaxed) % used;
  std::size_t group = 0;
  while (masks[group] == 0 || skip-- != 0) ++group;
  GROUP_AFFINITY wanted{};
  wanted.Group = static_cast<WORD>(group);
  wanted.Mask = masks[group];
  const bool done = api().SetThreadGroupAffinity(thread, &wanted, nullptr) != FALSE;
  return done ? ERROR_SUCCESS : ::GetLastError();
}

AffinityRules affinity_rules() noexcept { return {true, "SetThreadGroupAffinity", false, false}; }

Result<std::vector<int>> thread_cpus(ThreadId thread) {
  const Result<Thread> opened = open_thread(thread);
  if (!opened) return opened.failure();
  GROUP_AFFINITY affinity{};
  if (api().GetThreadGroupAffinity(opened.value().handle, &affinity) == FALSE)
    return windows::failed("GetThreadGroupAffinity", ::GetLastError());
  std::vector<int> cpus;
  add_cpus(affinity.Group, affinity.Mask, cpus);
  return cpus;
}

Status set_thread_cpus(std::span<const int> cpus, ThreadId thread) {
  const Result<Thread> opened = open_thread(thread);
  if (!opened) return opened.failure();
  const DWORD error = windows::run_in_one_group(opened.value().handle, cpus);
  if (error != ERROR_SUCCESS) return windows::failed("SetThreadGroupAffinity", error);
  return Done{};
}

// All of the machine's, unless the process was given fewer of its group (start /affinity).
Result<std::vector<int>> usable_cpus() {
  DWORD_PTR own = 0;
  DWORD_PTR every = 0;
  if (api().GetProcessAffinityMask(::GetCurrentProcess(), &own, &every) == FALSE)
    return windows::failed("GetProcessAffinityMask", ::GetLastError());
  std::vector<int> cpus;
  if (own != every) {  // both are 0 where its threads are in several groups
    USHORT count = 1;
    USHORT group = 0;
    if (api().GetProcessGroupAffinity(::GetCurrentProcess(), &count, &group) == FALSE)
      return windows::failed("GetProcessGroupAffinity", ::GetLastError());
    add_cpus(group, own, cpus);
    return cpus;
  }
  for (WORD group = 0; group < api().GetActiveProcessorGroupCount(); ++group) {
    const auto count = static_cast<int>(api().GetActiveProcessorCount(group));
    for (int number = 0; number < count; ++number) cpus.push_back(group * kCpusPerGroup + number);
  }
  return cpus;
}

Result<std::vector<ThreadId>> thread_ids() {
  const Handle snapshot(api().CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0));
  if (!snapshot.ok()) return windows::failed("CreateToolhelp32Snapshot", ::GetLastError());
  std::vector<ThreadId> found;
  THREADENTRY32 entry{};
  entry.dwSize = sizeof entry;
  BOOL more = api().Thread32First(snapshot.get(), &entry);
  for (; more != FALSE; more = api().Thread32Next(snapshot.get(), &entry)) {
    if (entry.th32OwnerProcessID == ::GetCurrentProcessId()) found.push_back(entry.th32ThreadID);
  }
  const DWORD error = ::GetLastError();
  if (found.empty() && error != ERROR_NO_MORE_FILES) return windows::failed("Thread32Next", error);
  return found;
}

Status have_new_threads_follow(std::span<const int> cpus) {
  if (api().SetProcessDefaultCpuSets == nullptr)
    return windows::no_such("SetProcessDefaultCpuSets", "this Windows does not have it");
  const auto sets = cpu_sets();
  if (!sets) return sets.failure();
  std::vector<ULONG> ids;
  for (const CpuSet& one : sets.value()) {
    if (std::find(cpus.begin(), cpus.end(), one.cpu) != cpus.end()) ids.push_back(one.id);
  }
  if (api().SetProcessDefaultCpuSets(::GetCurrentProcess(), ids.data(),
                                     static_cast<ULONG>(ids.size())) == FALSE)
    return windows::failed("SetProcessDefaultCpuSets", ::GetLastError());
  return Done{};
}

}  // namespace numapool::platform
