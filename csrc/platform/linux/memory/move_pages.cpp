// Moves pages that anybody may have mapped, and says why some stay (move_pages(2)).
#include "platform/linux/memory/move_pages.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "platform/linux/files/c_file.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

struct Batch {
  std::array<void*, kPagesPerMove> pages{};
  std::array<int, kPagesPerMove> status{};
  std::array<int, kPagesPerMove> now{};
};

// `now` is where the page is after all, and outranks `answer`, what the move said of it: a page
// that was in use, and was tried again or moved by its neighbour, has arrived.
void count(MoveTally& tally, int answer, int now, int node, std::uint64_t bytes,
           bool did_nothing) noexcept {
  if (now == node || now == kNotResident) return;
  if (now < 0 && (answer == -ENOENT || answer == -EFAULT)) return;
  // Or it arrived, and was taken back at once.
  if ((answer == kUnanswered && did_nothing) || answer == node) {
    tally.other_bytes += bytes;
    return;
  }
  if (answer >= 0 || answer == kUnanswered || answer == -ENOENT || answer == -EFAULT) {
    // The call ended early, or a huge page had no room.
    if (now >= 0) tally.full_bytes += bytes;
    return;
  }
  switch (-answer) {
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

// Moves the huge pages of a batch by one address each. Whether that moved everything: then no page
// is left to be tallied.
bool move_blocks(const PageCalls& calls, Batch& batch, std::size_t size, std::size_t block,
                 int node) {
  const std::size_t page = base_page_bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(batch.pages[0]);
  const std::uintptr_t end = begin + size * page;
  std::vector<void*> blocks;
  for (std::uintptr_t at = (begin + block - 1) / block * block; at + block <= end; at += block)
    blocks.push_back(reinterpret_cast<void*>(at));
  if (blocks.empty()) return false;
  std::vector<int> nodes(blocks.size());
  if (move_pages_to(blocks, node, nodes, calls) < 0) return false;
  // The last page of each tells whether the block was a huge page. If it was none, most pages are
  // still to be moved.
  for (void*& one : blocks) one = static_cast<char*>(one) + (block - page);
  const auto are_there = [&](std::span<void*> pages, std::span<int> now) {
    return ask_nodes(pages, now, calls).ok() &&
           std::ranges::all_of(now, [node](int one) { return one == node || one == kNotResident; });
  };
  return are_there(blocks, nodes) &&
         are_there({batch.pages.data(), size}, {batch.now.data(), size});
}

}  // namespace

Result<MoveTally> move_resident_by(const PageCalls& calls, void* address, std::size_t length,
                                   const Pages& kind, int node) {
  // A hugetlb page moves by its first base page alone (Linux 6.1, add_page_for_migration()).
  const std::size_t page = kind.kind == PageKind::kHugetlb ? kind.bytes : base_page_bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = begin + length;
  MoveTally tally;
  const auto batch = std::make_unique<Batch>();
  for (std::uintptr_t at = begin / page * page; at < end;) {
    std::size_t size = 0;
    for (; size < kPagesPerMove && at < end; at += page)
      batch->pages[size++] = reinterpret_cast<void*>(at);
    const std::span<void*> pages(batch->pages.data(), size);
    const std::span<int> status(batch->status.data(), size);
    const std::span<int> now(batch->now.data(), size);
    if (kind.kind == PageKind::kTransparent && move_blocks(calls, *batch, size, kind.bytes, node))
      continue;
    const long done = move_pages_to(pages, node, status, calls);
    if (done < 0 && !leaves_pages(errno))
      return failed("move_pages", errno, "node " + std::to_string(node));
    const bool did_nothing = done == 0 && all_unanswered(status);
    if (!ask_nodes(pages, now, calls)) std::fill(now.begin(), now.end(), kUnknownNode);
    for (std::size_t i = 0; i < size; ++i) {
      const auto first = reinterpret_cast<std::uintptr_t>(pages[i]);
      const std::uint64_t bytes = std::min(first + page, end) - std::max(first, begin);
      count(tally, status[i], now[i], node, bytes, did_nothing);
    }
  }
  return tally;
}

Result<MoveTally> move_resident(void* address, std::size_t length, const Pages& pages, int node) {
  return move_resident_by(kSystemPageCalls, address, length, pages, node);
}

// "7f00-7f10 r--p 00000000 fd:01 123456   /usr/lib/libc.so.6"; a memfd or System V segment has an
// inode of the kernel's own mount, whose names end in " (deleted)" or lie in /dev/shm.
std::vector<Span> file_mappings() {
  std::vector<Span> out;
  const CFile file(std::fopen("/proc/self/maps", "re"));
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
