// Moves pages that anybody may have mapped, and says why some stay (move_pages(2)).
#include "platform/linux/memory/move_pages.hpp"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "platform/linux/files/c_file.hpp"
#include "platform/linux/kernel/system_call.hpp"

namespace numapool::platform {
namespace {

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

bool all_on(std::span<const int> answers, int node) noexcept {
  return std::ranges::all_of(answers, [node](int one) { return one == node; });
}

// Moves the huge pages of [begin, end) by one address each. Whether the first and the last page of
// each are there then.
bool move_blocks(const PageCalls& calls, std::uintptr_t begin, std::uintptr_t end,
                 std::size_t block, int node) {
  if (begin % block != 0 || end % block != 0) return false;
  std::vector<void*> blocks;
  for (std::uintptr_t at = begin; at < end; at += block)
    blocks.push_back(reinterpret_cast<void*>(at));
  std::vector<int> nodes(blocks.size());
  if (move_pages_to(blocks, node, nodes, calls) < 0 || !all_on(nodes, node)) return false;
  // The last page tells whether the block was a huge page. If it was none, most pages are still to
  // be moved.
  const std::size_t page = base_page_bytes();
  for (void*& one : blocks) one = static_cast<char*>(one) + (block - page);
  return ask_nodes(blocks, nodes, calls).ok() && all_on(nodes, node);
}

}  // namespace

Result<MoveTally> move_resident_by(const PageCalls& calls, void* address, std::size_t length,
                                   const Pages& kind, int node) {
  // A hugetlb page moves by its first base page alone (Linux 6.1, add_page_for_migration()).
  const std::size_t page = kind.kind == PageKind::kHugetlb ? kind.bytes : base_page_bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = begin + length;
  MoveTally tally;
  std::vector<void*> pages;
  std::vector<int> status;
  std::vector<int> now;
  for (std::uintptr_t at = begin / page * page; at < end;) {
    const std::uintptr_t first = at;
    pages.clear();
    for (; pages.size() < kPagesPerMove && at < end; at += page)
      pages.push_back(reinterpret_cast<void*>(at));
    status.resize(pages.size());
    now.resize(pages.size());
    // A last page may have been there before. Then only the page table tells, or every page does.
    if (kind.kind == PageKind::kTransparent && move_blocks(calls, first, at, kind.bytes, node) &&
        (calls.are_huge(pages.front(), at - first) ||
         (ask_nodes(pages, now, calls).ok() && all_on(now, node)))) {
      tally.there_bytes += at - first;
      continue;
    }
    const long done = move_pages_to(pages, node, status, calls);
    if (done < 0 && !leaves_pages(errno))
      return failed("move_pages", errno, "node " + std::to_string(node));
    const bool did_nothing = done == 0 && all_unanswered(status);
    now = status;
    if (!all_on(status, node) && !ask_nodes(pages, now, calls))
      std::ranges::fill(now, kUnknownNode);
    for (std::size_t i = 0; i < pages.size(); ++i) {
      const std::uintptr_t one = first + i * page;
      const std::uint64_t bytes = std::min(one + page, end) - std::max(one, begin);
      if (now[i] == node) tally.there_bytes += bytes;
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
