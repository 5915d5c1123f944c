// Moves pages that anybody may have mapped, and says why some stay (move_pages(2)).
#include <numaif.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "platform/linux/system_call.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

constexpr std::size_t kBatch = 512;

struct Batch {
  std::array<void*, kBatch> pages{};
  std::array<int, kBatch> nodes{};
  std::array<int, kBatch> status{};
};

void count(MoveTally& tally, int answer, int node, std::uint64_t bytes) noexcept {
  if (answer >= 0) {
    // The call ended early, or a huge page had no room: the answer is where the page still is.
    if (answer != node) tally.full_bytes += bytes;
    return;
  }
  switch (-answer) {
    case ENOENT:  // not resident
    case EFAULT:  // the shared page of zeros, or nothing is mapped
      return;
    case EACCES:
      tally.shared_bytes += bytes;
      return;
    case EBUSY:
    case EAGAIN:
      tally.busy_bytes += bytes;
      return;
    case ENOMEM:
      tally.full_bytes += bytes;
      return;
    default:
      tally.other_bytes += bytes;
  }
}

}  // namespace

Result<MoveTally> move_resident(void* address, std::size_t length, int node) {
  const std::size_t page = base_page_bytes();
  MoveTally tally;
  auto* const bytes = static_cast<char*>(address);
  const auto batch = std::make_unique<Batch>();
  batch->nodes.fill(node);
  for (std::size_t at = 0; at < length;) {
    std::size_t size = 0;
    for (; size < kBatch && at < length; at += page) batch->pages[size++] = bytes + at;
    // What the kernel did not come to has no answer: it is asked where the pages are, afterwards.
    batch->status.fill(-ENOENT);
    const long done = move_pages(0, size, batch->pages.data(), batch->nodes.data(),
                                 batch->status.data(), MPOL_MF_MOVE);
    if (done < 0 && errno != ENOMEM && errno != EBUSY && errno != EAGAIN && errno != ENOENT)
      return failed("move_pages", errno, "node " + std::to_string(node));
    std::array<int, kBatch> now{};
    const bool asked = move_pages(0, size, batch->pages.data(), nullptr, now.data(), 0) == 0;
    for (std::size_t i = 0; i < size; ++i) {
      const bool said_why = batch->status[i] < 0 && batch->status[i] != -ENOENT;
      count(tally, said_why || !asked ? batch->status[i] : now[i], node, page);
    }
  }
  return tally;
}

// "7f00-7f10 r--p 00000000 fd:01 123456   /usr/lib/libc.so.6"; a memfd or System V segment has an
// inode of the kernel's own mount, whose names end in " (deleted)" or lie in /dev/shm.
std::vector<Span> file_mappings() {
  std::vector<Span> out;
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen("/proc/self/maps", "re"));
  if (!file) return out;
  char* line = nullptr;
  std::size_t capacity = 0;
  while (getline(&line, &capacity, file.get()) > 0) {
    Span span;
    std::uint64_t inode = 0;
    int name = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64 " %n", &span.begin,
                    &span.end, &inode, &name) < 3 ||
        inode == 0)
      continue;
    const std::string path(line + name);
    const auto begins = [&path](const char* with) { return path.rfind(with, 0) == 0; };
    if (begins("/memfd:") || begins("/SYSV") || begins("/dev/shm/") || begins("/dev/zero") ||
        begins("/anon_hugepage"))
      continue;
    out.push_back(span);
  }
  std::free(line);
  return out;
}

}  // namespace numapool::platform
