// Maps memory, sets its policy and populates it: mmap, madvise, mbind, mlock.
#include "platform/memory.hpp"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "platform/linux/kernel/node_mask.hpp"
#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14, include/uapi/asm-generic/mman-common.h
#endif

namespace numapool::platform {
namespace {

constexpr int kHugeShift = 26;  // MAP_HUGE_SHIFT: log2 of the hugetlb size lives above this bit

std::string length_text(std::size_t length) { return std::to_string(length) + " bytes"; }

int kernel_mode(Policy policy) noexcept {
  switch (policy) {
    case Policy::kPreferred:
      return MPOL_PREFERRED;
    case Policy::kPreferredMany:
      return kernel::kPreferredMany;
    case Policy::kBind:
      return MPOL_BIND;
    case Policy::kInterleave:
      return MPOL_INTERLEAVE;
    case Policy::kWeightedInterleave:
      return kernel::kWeightedInterleave;
  }
  return MPOL_DEFAULT;
}

// Maps more than asked for and returns the ends, so that the rest starts at a multiple of
// `alignment`.
void* map_aligned(std::size_t length, std::size_t alignment) noexcept {
  const std::size_t total = length + alignment;
  if (total < length) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void* const raw =
      mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return raw;
  char* const base = static_cast<char*>(raw);
  const auto misfit = reinterpret_cast<std::uintptr_t>(raw) % alignment;
  const std::size_t head = misfit == 0 ? 0 : alignment - misfit;
  if (head != 0) munmap(base, head);
  const std::size_t tail = total - head - length;
  if (tail != 0) munmap(base + head + length, tail);
  return base + head;
}

// The way before Linux 5.14. A page of ours is zero until we hand it out, so writing zero changes
// nothing; for pages that already hold an owner's bytes the value read is written back.
void touch(void* address, std::size_t length, std::size_t step) noexcept {
  auto* const bytes = static_cast<volatile char*>(address);
  for (std::size_t at = 0; at < length; at += step) bytes[at] = bytes[at];
}

// The same of huge pages, where a limit of the cgroup or an empty node would answer a touch with
// SIGBUS. In the kernel's own write, adding 0, it is EFAULT. False where that is so.
bool touch_in_kernel(void* page) noexcept {
  std::uint32_t nobody = 0;
  constexpr int kAddNothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
  return syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, nullptr, page,
                 kAddNothing) >= 0 ||
         errno != EFAULT;
}

Failure no_huge_page(const char* call, std::size_t length) {
  return {Cause::kNoMemory, call, ENOMEM,
          length_text(length) +
              ": a cgroup's hugetlb limit is reached, or the nodes that may be used have no free "
              "huge page"};
}

}  // namespace

// Asked again by threads that ask at the same time, rather than under the lock of a variable that
// is made at its first use, which a fork cannot take.
bool has_numa() noexcept {
  enum : int { kUnknown, kAbsent, kPresent };
  static std::atomic<int> known{0};
  if (known.load(std::memory_order_relaxed) == kUnknown) {
    int mode = 0;
    const bool answers =
        kernel::get_mempolicy(mode) == 0 || (errno != ENOSYS && errno != EOPNOTSUPP);
    known.store(answers ? kPresent : kAbsent, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == kPresent;
}

// The kernel looks at the mode of an empty range, and does nothing more (mm/mempolicy.c, do_mbind).
bool has_preferred_many() noexcept {
  enum : int { kUnknown, kAbsent, kPresent };
  static std::atomic<int> known{kUnknown};
  if (known.load(std::memory_order_relaxed) == kUnknown) {
    const bool takes = kernel::mbind(nullptr, 0, kernel::kPreferredMany, NodeMask(), 0) == 0;
    known.store(takes ? kPresent : kAbsent, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == kPresent;
}

std::size_t base_page_bytes() noexcept {
  static std::atomic<std::size_t> known{0};
  if (const std::size_t bytes = known.load(std::memory_order_relaxed)) return bytes;
  const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  known.store(bytes, std::memory_order_relaxed);
  return bytes;
}

Result<void*> map(std::size_t length, const Pages& pages) {
  void* address = MAP_FAILED;
  if (pages.kind == PageKind::kHugetlb) {
    const int shift = std::countr_zero(pages.bytes) << kHugeShift;
    address = mmap(nullptr, length, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | shift, -1, 0);
  } else if (pages.kind == PageKind::kTransparent) {
    address = map_aligned(length, pages.bytes);
  } else {
    address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (address == MAP_FAILED) return failed("mmap", errno, length_text(length));
  // Both pieces of advice may be refused by a kernel without transparent huge pages; it has base
  // pages then.
  if (pages.kind == PageKind::kTransparent) madvise(address, length, MADV_HUGEPAGE);
  const std::uint64_t sizes = transparent_sizes();
  if (pages.kind == PageKind::kBase && sizes != 0 && length >= (sizes & (~sizes + 1)))
    madvise(address, length, MADV_NOHUGEPAGE);
  return address;
}

Status unmap(void* address, std::size_t length) {
  if (munmap(address, length) != 0) return failed("munmap", errno, length_text(length));
  return Done{};
}

Status forbid_huge_pages(void* address, std::size_t length) {
  if (madvise(address, length, MADV_NOHUGEPAGE) != 0) {
    return failed("madvise(MADV_NOHUGEPAGE)", errno, length_text(length));
  }
  return Done{};
}

Status lock(void* address, std::size_t length, bool resident_now) {
  const int result = resident_now ? mlock(address, length) : mlock2(address, length, MLOCK_ONFAULT);
  if (result != 0) return failed("mlock", errno, length_text(length));
  return Done{};
}

Status keep_out_of_dumps(void* address, std::size_t length) {
  if (madvise(address, length, MADV_DONTDUMP) != 0) {
    return failed("madvise(MADV_DONTDUMP)", errno, length_text(length));
  }
  return Done{};
}

Status set_policy(void* address, std::size_t length, Policy policy, std::span<const int> nodes,
                  bool move) {
  const NodeMask mask(nodes);
  const unsigned flags = move ? MPOL_MF_MOVE | MPOL_MF_STRICT : 0U;
  if (kernel::mbind(address, length, kernel_mode(policy), mask, flags) != 0) {
    const int code = errno;
    std::string text;
    for (const int node : nodes) text += (text.empty() ? "node " : ",") + std::to_string(node);
    return failed("mbind", code, std::move(text));
  }
  return Done{};
}

Status populate(void* address, std::size_t length, const Pages& pages) {
  static std::atomic<bool> missing{false};
  while (!missing.load(std::memory_order_relaxed)) {
    if (madvise(address, length, MADV_POPULATE_WRITE) == 0) return Done{};
    const int code = errno;
    if (code == EINVAL) {
      missing.store(true, std::memory_order_relaxed);
    } else if (code == EFAULT && pages.kind == PageKind::kHugetlb) {
      return no_huge_page("madvise(MADV_POPULATE_WRITE)", length);
    } else if (code != EINTR && code != EAGAIN) {
      return failed("madvise(MADV_POPULATE_WRITE)", code, length_text(length));
    }
  }
  if (pages.kind != PageKind::kHugetlb) {
    touch(address, length, base_page_bytes());
    return Done{};
  }
  for (std::size_t at = 0; at < length; at += pages.bytes) {
    char* const page = static_cast<char*>(address) + at;
    if (!touch_in_kernel(page)) return no_huge_page("populate", length);
    touch(page, pages.bytes, pages.bytes);  // where the kernel refused the call itself
  }
  return Done{};
}

}  // namespace numapool::platform
