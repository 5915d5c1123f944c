// Alignments of direct I/O: statx(2) with STATX_DIOALIGN (Linux 6.1; ext4, f2fs, xfs, block
// devices), else the device's logical block (open(2), O_DIRECT).
#include "platform/linux/storage/direct_rules.hpp"

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "platform/linux/files/kept_file.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kAlwaysEnough = 4096;  // but for devices of larger blocks, which say so
constexpr unsigned kDioAlign = 0x2000;       // STATX_DIOALIGN

// The kernel's struct statx as of Linux 6.1 (include/uapi/linux/stat.h), which the C library's
// headers may be older than.
struct Statx {
  std::uint32_t mask;
  std::array<std::uint32_t, 37> other;
  std::uint32_t dio_memory_align;
  std::uint32_t dio_offset_align;
  std::array<std::uint64_t, 12> spare;
};
static_assert(offsetof(Statx, dio_memory_align) == 0x98 && sizeof(Statx) == 0x100);

std::optional<Statx> ask_kernel(int fd) noexcept {
  Statx answer{};
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, kDioAlign, &answer) != 0) return std::nullopt;
  if ((answer.mask & kDioAlign) == 0) return std::nullopt;
  return answer;
}

bool is_in_memory(int fd) noexcept {
  struct statfs facts{};
  if (fstatfs(fd, &facts) != 0) return false;
  const auto type = static_cast<std::uint32_t>(facts.f_type);
  return type == 0x01021994U ||  // TMPFS_MAGIC, which takes O_DIRECT since Linux 6.6 and copies
         type == 0x858458f6U ||  // RAMFS_MAGIC
         type == 0x958458f6U;    // HUGETLBFS_MAGIC
}

// The logical block of the device; a partition's folder lies in its disk's.
std::size_t logical_block(dev_t device) {
  const std::string folder =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* const place : {"/queue/", "/../queue/"}) {
    KeptFile file(folder + place + "logical_block_size");
    const auto text = file.read();
    const auto bytes = text ? leading_number(*text) : std::nullopt;
    if (bytes && std::has_single_bit(*bytes)) return *bytes;
  }
  return kAlwaysEnough;
}

}  // namespace

DirectRules direct_rules(int fd, const struct stat& facts) {
  if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
    return {1, 1, "it is no regular file and no block device"};
  // Of a device it would tell where its name is: /dev is a tmpfs too.
  if (S_ISREG(facts.st_mode) && is_in_memory(fd)) return {1, 1, "the file is in memory"};
  if (const auto told = ask_kernel(fd)) {
    const std::size_t memory = told->dio_memory_align;
    const std::size_t transfer = told->dio_offset_align;
    if (!std::has_single_bit(memory) || !std::has_single_bit(transfer))
      return {1, 1, "the file system has no direct I/O for this file"};
    return {memory, transfer, {}};
  }
  const std::size_t block = logical_block(S_ISBLK(facts.st_mode) ? facts.st_rdev : facts.st_dev);
  return {kAlwaysEnough > block ? kAlwaysEnough : block, block, {}};
}

}  // namespace numapool::platform
