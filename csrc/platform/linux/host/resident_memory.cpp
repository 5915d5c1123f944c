// This process's memory in RAM, and what the C library's heap can give back of it.
#include <malloc.h>

#include <cerrno>

#include "platform/host.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"

namespace numapool::platform {

Result<ResidentBytes> resident_bytes() {
  const Folder self = Folder::open("/proc/self");
  const auto text = self.ok() ? self.read("status") : std::nullopt;
  if (!text) return Failure{Cause::kOther, "open", errno, "/proc/self/status"};
  const auto now = meminfo_bytes(*text, "VmRSS:");
  const auto peak = meminfo_bytes(*text, "VmHWM:");
  if (!now || !peak) return self.nonsense("status", *text, "has no VmRSS and VmHWM in kB");
  return ResidentBytes{*now, *peak};
}

bool trim_heap() noexcept {
#ifdef __GLIBC__
  malloc_trim(0);
  return true;
#else
  return false;  // other C libraries have no call for it
#endif
}

}  // namespace numapool::platform
