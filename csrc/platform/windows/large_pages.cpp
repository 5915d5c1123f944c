// Large pages: how large, whether this account may have them, and what to do where it may not.
#include "platform/windows/large_pages.hpp"

#include "platform/memory.hpp"

namespace numapool::platform {
namespace windows {
namespace {

constexpr const wchar_t* kPrivilege = L"SeLockMemoryPrivilege";
constexpr const char* kRemedy =
    "this account does not have the right \"Lock pages in memory\" (SeLockMemoryPrivilege): an "
    "administrator grants it in secpol.msc under Local Policies, User Rights Assignment; log on "
    "again afterwards";

}  // namespace

Status require_large_pages() {
  HANDLE opened = nullptr;
  if (api().OpenProcessToken(::GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY,
                             &opened) == FALSE) {
    return failed("OpenProcessToken", ::GetLastError());
  }
  const Handle token(opened);
  TOKEN_PRIVILEGES wanted{};
  wanted.PrivilegeCount = 1;
  wanted.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
  if (api().LookupPrivilegeValueW(nullptr, kPrivilege, &wanted.Privileges[0].Luid) == FALSE)
    return failed("LookupPrivilegeValue", ::GetLastError(), "SeLockMemoryPrivilege");
  // It succeeds without having granted anything, and tells only by the last error.
  ::SetLastError(ERROR_SUCCESS);
  const BOOL done = api().AdjustTokenPrivileges(token.get(), FALSE, &wanted, 0, nullptr, nullptr);
  const DWORD error = ::GetLastError();
  if (done != FALSE && error == ERROR_SUCCESS) return Done{};
  return failed("AdjustTokenPrivileges", error == ERROR_SUCCESS ? ERROR_NOT_ALL_ASSIGNED : error,
                kRemedy);
}

}  // namespace windows

std::vector<HugetlbPool> hugetlb_pools() {
  const SIZE_T bytes = windows::api().GetLargePageMinimum();
  if (bytes == 0) return {};
  return {HugetlbPool{bytes, 0, 0}};  // taken from free memory when asked for, none set aside
}

std::string hugetlb_reserve_hint(std::size_t) {
  const Status allowed = windows::require_large_pages();
  if (!allowed) return describe(allowed.failure());
  return "Windows sets none aside: it takes them from free memory, which must lie together; there "
         "is most of it soon after a start of the machine";
}

}  // namespace numapool::platform
