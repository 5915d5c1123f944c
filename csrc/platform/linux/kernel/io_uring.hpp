// io_uring's calls and structures (include/uapi/linux/io_uring.h of Linux 6.3), made directly: the
// headers of the system that builds may be older, and liburing is not needed for plain reads.
//
// Each function returns the kernel's result, or -1 with errno.
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>

namespace numapool::platform::kernel::uring {

// The same on every architecture of ours (include/uapi/asm-generic/unistd.h).
constexpr long kSetup = 425;
constexpr long kEnter = 426;
constexpr long kRegister = 427;

constexpr std::uint32_t kCoopTaskrun = 1U << 8;    // IORING_SETUP_COOP_TASKRUN, Linux 5.19
constexpr std::uint32_t kSingleIssuer = 1U << 12;  // IORING_SETUP_SINGLE_ISSUER, Linux 6.0

constexpr std::uint32_t kSingleMmap = 1U << 0;           // IORING_FEAT_SINGLE_MMAP
constexpr std::uint32_t kNoDrop = 1U << 1;               // IORING_FEAT_NODROP
constexpr std::uint32_t kRegisteredRegister = 1U << 13;  // IORING_FEAT_REG_REG_RING, Linux 6.3

constexpr std::int64_t kRingAt = 0;            // IORING_OFF_SQ_RING
constexpr std::int64_t kEntriesAt = 1U << 28;  // IORING_OFF_SQES

constexpr std::uint8_t kRead = 22;            // IORING_OP_READ
constexpr std::uint8_t kFixedFile = 1U << 0;  // IOSQE_FIXED_FILE

constexpr std::uint32_t kGetEvents = 1U << 0;       // IORING_ENTER_GETEVENTS
constexpr std::uint32_t kRegisteredRing = 1U << 4;  // IORING_ENTER_REGISTERED_RING

constexpr std::uint32_t kRegisterFiles = 2;
constexpr std::uint32_t kUnregisterFiles = 3;
constexpr std::uint32_t kRegisterRings = 20;
constexpr std::uint32_t kUnregisterRings = 21;
constexpr std::uint32_t kUseRegisteredRing = 1U << 31;  // IORING_REGISTER_USE_REGISTERED_RING

struct SubmissionOffsets {
  std::uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
  std::uint64_t user_address;
};
struct CompletionOffsets {
  std::uint32_t head, tail, ring_mask, ring_entries, overflow, entries, flags, reserved;
  std::uint64_t user_address;
};
struct Parameters {
  std::uint32_t submission_entries, completion_entries, flags, thread_cpu, thread_idle, features;
  std::uint32_t workers;
  std::array<std::uint32_t, 3> reserved;
  SubmissionOffsets submission;
  CompletionOffsets completion;
};
static_assert(sizeof(Parameters) == 120);

struct Submission {
  std::uint8_t operation, flags;
  std::uint16_t priority;
  std::int32_t file;
  std::uint64_t offset, address;
  std::uint32_t length, read_flags;
  std::uint64_t user_data;
  std::array<std::uint64_t, 3> other;
};
static_assert(sizeof(Submission) == 64);

struct Completion {
  std::uint64_t user_data;
  std::int32_t result;
  std::uint32_t flags;
};
static_assert(sizeof(Completion) == 16);

// struct io_uring_rsrc_update, for a ring.
struct RingUpdate {
  std::uint32_t index, reserved;
  std::uint64_t data;
};
constexpr std::uint32_t kAnyIndex = ~0U;

inline int setup(std::uint32_t entries, Parameters& parameters) noexcept {
  return static_cast<int>(syscall(kSetup, long{entries}, &parameters));
}
inline int enter(int ring, std::uint32_t submit, std::uint32_t complete,
                 std::uint32_t flags) noexcept {
  return static_cast<int>(
      syscall(kEnter, long{ring}, long{submit}, long{complete}, long{flags}, nullptr, 0L));
}
inline int change(int ring, std::uint32_t operation, void* argument, std::uint32_t count) noexcept {
  return static_cast<int>(syscall(kRegister, static_cast<long>(static_cast<std::uint32_t>(ring)),
                                  static_cast<long>(operation), argument,
                                  static_cast<long>(count)));
}

}  // namespace numapool::platform::kernel::uring
