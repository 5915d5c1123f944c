// The memory that this process may still use: free physical memory, the commit limit, the job's
// limits.
#include <algorithm>
#include <string>
#include <utility>

#include "platform/memory.hpp"
#include "platform/windows/api.hpp"
#include "platform/windows/job.hpp"

namespace numapool::platform {
namespace windows {
namespace {

std::uint64_t room_of(const JobRoom& job) noexcept {
  return job.limit_bytes > job.used_bytes ? job.limit_bytes - job.used_bytes : 0;
}

// The memory committed by all processes of the job. Windows 10 counts it; in Windows 8 the report
// of violations has it.
std::optional<std::uint64_t> committed_by_job() noexcept {
  JobMemoryUsage usage{};
  if (api().QueryInformationJobObject(nullptr, kJobMemoryUsage, &usage, sizeof usage, nullptr) !=
      FALSE) {
    return usage.job_memory;
  }
  JOBOBJECT_LIMIT_VIOLATION_INFORMATION report{};
  if (api().QueryInformationJobObject(nullptr, JobObjectLimitViolationInformation, &report,
                                      sizeof report, nullptr) != FALSE) {
    return report.JobMemory;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> committed_by_process() noexcept {
  PROCESS_MEMORY_COUNTERS counters{};
  counters.cb = sizeof counters;
  if (api().GetProcessMemoryInfo(::GetCurrentProcess(), &counters, sizeof counters) == FALSE)
    return std::nullopt;
  return counters.PagefileUsage;
}

}  // namespace

std::optional<JobRoom> job_room() {
  BOOL inside = FALSE;
  if (api().IsProcessInJob(::GetCurrentProcess(), nullptr, &inside) == FALSE || inside == FALSE)
    return std::nullopt;
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  if (api().QueryInformationJobObject(nullptr, JobObjectExtendedLimitInformation, &limits,
                                      sizeof limits, nullptr) == FALSE) {
    return std::nullopt;
  }
  const DWORD flags = limits.BasicLimitInformation.LimitFlags;
  std::optional<JobRoom> least;
  const auto consider = [&](DWORD flag, std::uint64_t limit, std::optional<std::uint64_t> used,
                            const char* name) {
    if ((flags & flag) == 0 || !used) return;
    JobRoom one{limit, *used, name};
    if (!least || room_of(one) < room_of(*least)) least = std::move(one);
  };
  if ((flags & JOB_OBJECT_LIMIT_JOB_MEMORY) != 0) {
    consider(JOB_OBJECT_LIMIT_JOB_MEMORY, limits.JobMemoryLimit, committed_by_job(),
             "the memory limit of this process's job");
  }
  if ((flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY) != 0) {
    consider(JOB_OBJECT_LIMIT_PROCESS_MEMORY, limits.ProcessMemoryLimit, committed_by_process(),
             "the job's memory limit for each process");
  }
  return least;
}

}  // namespace windows

std::vector<Bound> memory_bounds() {
  std::vector<Bound> bounds;
  const auto add = [&bounds](std::string limit, std::uint64_t bytes) {
    Bound bound;
    bound.limit = std::move(limit);
    bound.bytes = bytes;
    bounds.push_back(std::move(bound));
  };
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (windows::api().GlobalMemoryStatusEx(&status) != FALSE) {
    add("the machine's available memory", status.ullAvailPhys);
    bounds.back().whole_machine = true;
    add("what Windows can still commit (memory and page files)", status.ullAvailPageFile);
  } else {
    Bound bound;
    bound.limit = "the machine's available memory";
    bound.unknown = describe(windows::failed("GlobalMemoryStatusEx", ::GetLastError()));
    bounds.push_back(std::move(bound));
  }
  if (const auto job = windows::job_room()) add(job->name, windows::room_of(*job));
  return bounds;
}

std::vector<Bound> hugetlb_bounds(std::size_t) { return {}; }

}  // namespace numapool::platform
