// Gives the pages of a mapping back to the kernel, locked memory's too.
#include <sys/mman.h>

#include "platform/linux/kernel/system_call.hpp"
#include "platform/memory.hpp"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24  // Linux 5.18, include/uapi/asm-generic/mman-common.h
#endif

namespace numapool::platform {
namespace {

Failure refused(const char* call, int code, std::size_t length) {
  return failed(call, code, std::to_string(length) + " bytes");
}

// Before Linux 5.18. The lock alone is taken off and put on again: the mapping, with its policy and
// advice, stays where it is throughout, so that no other thread can map anything in its place.
// Locked on fault, no page comes back by it.
Status discard_locked(void* address, std::size_t length) {
  if (munlock(address, length) != 0) return refused("munlock", errno, length);
  if (madvise(address, length, MADV_DONTNEED) != 0) {
    return refused("madvise(MADV_DONTNEED)", errno, length);  // hugetlb, which is never locked
  }
  if (mlock2(address, length, MLOCK_ONFAULT) != 0) return refused("mlock2", errno, length);
  return Done{};
}

}  // namespace

// madvise(2), MADV_DONTNEED: EINVAL for locked memory, by mlockall(2) in the whole process, and for
// hugetlb pages before Linux 5.18. MADV_DONTNEED_LOCKED takes locked memory.
Status discard(void* address, std::size_t length) {
  if (madvise(address, length, MADV_DONTNEED) == 0) return Done{};
  if (errno != EINVAL) return refused("madvise(MADV_DONTNEED)", errno, length);
  if (madvise(address, length, MADV_DONTNEED_LOCKED) == 0) return Done{};
  if (errno != EINVAL) return refused("madvise(MADV_DONTNEED_LOCKED)", errno, length);
  return discard_locked(address, length);
}

}  // namespace numapool::platform
