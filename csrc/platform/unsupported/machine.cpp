// The little that POSIX tells of a machine, by sysconf(3) where there is one.
#include "platform/unsupported/machine.hpp"

#include <limits>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace numapool::platform::unsupported {
namespace {

// _SC_PHYS_PAGES is no part of POSIX, although most systems have it.
#ifdef _SC_PHYS_PAGES
long physical_pages() noexcept { return ::sysconf(_SC_PHYS_PAGES); }
#else
long physical_pages() noexcept { return -1; }
#endif

#ifdef _SC_PAGESIZE
long page_size() noexcept { return ::sysconf(_SC_PAGESIZE); }
#else
long page_size() noexcept { return -1; }
#endif

}  // namespace

std::size_t page_bytes() noexcept {
  const long size = page_size();
  return size > 0 ? static_cast<std::size_t>(size) : 4096;
}

std::uint64_t memory_bytes() noexcept {
  const long pages = physical_pages();
  if (pages > 0) return static_cast<std::uint64_t>(pages) * page_bytes();
  return static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max());
}

}  // namespace numapool::platform::unsupported
