// Finds the nodes of single pages with move_pages(2). Pages that the kernel hides are read first,
// and then asked about again.
//
// For a page that the kernel is just moving (compaction), the answer is ENOENT. A read waits until
// the page has arrived.
//
// Automatic balancing (kernel.numa_balancing, on by default with several nodes) temporarily removes
// the access rights of resident pages to see which threads use them. For such a page, Linux 6.1 to
// 6.5 answers as if it were missing: ENOENT, or EFAULT for a huge one (follow_page() after commit
// 474098edac26, until d74943a2f3cd). The kernel can then neither report nor move the page. A read
// restores the rights.
#include "platform/linux/memory/page_nodes.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/pagemap.hpp"
#include "platform/memory.hpp"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14, include/uapi/asm-generic/mman-common.h
#endif

namespace numapool::platform {
namespace {

constexpr std::size_t kGroup = 512;  // pages that are read together
constexpr int kMostReads = 3;        // of a page that is on its way to another place each time

bool says_absent(int answer) noexcept { return answer == -ENOENT || answer == -EFAULT; }

// Reads the present ones among the pages that were reported missing. For each page of the group,
// `read` tells whether reading worked. Returns the number of pages read.
std::size_t read_hidden(std::span<void* const> pages, std::span<const int> answers,
                        std::span<Presence> presence, std::span<bool> read,
                        const PageCalls& calls) {
  if (std::none_of(answers.begin(), answers.end(), says_absent)) return 0;
  calls.presence(pages, presence);
  const std::size_t page = base_page_bytes();
  const auto hidden = [&](std::size_t i) {
    return says_absent(answers[i]) && presence[i] == Presence::kPresent;
  };
  std::size_t count = 0;
  for (std::size_t i = 0; i < pages.size();) {
    if (!hidden(i)) {
      ++i;
      continue;
    }
    std::size_t last = i + 1;
    const auto* const first = static_cast<const char*>(pages[i]);
    while (last < pages.size() && hidden(last) && pages[last] == first + (last - i) * page) ++last;
    const bool whole = calls.read(pages[i], (last - i) * page);
    for (std::size_t k = i; k < last; ++k) {
      read[k] = whole || calls.read(pages[k], page);
      count += read[k] ? 1U : 0U;
    }
    i = last;
  }
  return count;
}

// Interprets the answer for a page that was hidden and then read.
int conclude(int answer, Presence presence, bool was_read) noexcept {
  if (answer >= 0) return answer;
  if (!says_absent(answer)) return kUnknownNode;  // an error of another kind, or no answer
  if (presence == Presence::kAbsent) return kNotResident;
  if (presence == Presence::kUnknown || !was_read) return kUnknownNode;
  // The shared page of zeros is in the page table, but is not this process's memory. Of another
  // page that is there and on no node nothing is known (a device's memory).
  return answer == -EFAULT ? kNotResident : kUnknownNode;
}

struct Group {
  std::array<Presence, kGroup> presence{};
  std::array<bool, kGroup> read{};

  // Whether a page that was read is missing again. Of the shared page of zeros the answer stays
  // EFAULT.
  [[nodiscard]] bool moves_on(std::span<const int> answers) const noexcept {
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i] == -ENOENT && read[i]) return true;
    }
    return false;
  }
};

// By the memory policy of the page's address where that call is older than MADV_POPULATE_READ, or
// that one refuses a mapping: it faults the page in as a read does, and raises no signal.
bool read_one(void* address) noexcept {
  int node = kUnanswered;
  return kernel::node_of_address(node, address) == 0 && node >= 0;
}

bool system_read(void* address, std::size_t length) {
  const PagesStay stay;
  if (madvise(address, length, MADV_POPULATE_READ) == 0) return true;
  return length == base_page_bytes() && read_one(address);
}

}  // namespace

const PageCalls kSystemPageCalls{kernel::move_pages, read_presence, system_read, are_huge};

Status ask_nodes(std::span<void*> pages, std::span<int> nodes, const PageCalls& calls) {
  std::fill(nodes.begin(), nodes.end(), kUnanswered);
  if (calls.move_pages(pages.size(), pages.data(), nullptr, nodes.data()) != 0)
    return failed("move_pages", errno);
  if (all_unanswered(nodes)) return failed("move_pages", ENOSYS, "it answers without doing it");
  Group group;
  std::array<int, kGroup> again{};
  for (std::size_t at = 0; at < pages.size(); at += kGroup) {
    const std::size_t count = std::min(kGroup, pages.size() - at);
    const auto some = pages.subspan(at, count);
    const auto answers = nodes.subspan(at, count);
    group.presence.fill(Presence::kUnknown);
    group.read.fill(false);
    for (int reads = 0; reads < kMostReads; ++reads) {
      if (read_hidden(some, answers, group.presence, group.read, calls) == 0) break;
      again.fill(kUnanswered);
      if (calls.move_pages(count, some.data(), nullptr, again.data()) != 0) {
        group.read.fill(false);
        break;
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (group.read[i]) answers[i] = again[i];
      }
      if (!group.moves_on(answers)) break;
    }
    for (std::size_t i = 0; i < count; ++i)
      answers[i] = conclude(answers[i], group.presence[i], group.read[i]);
  }
  return Done{};
}

bool leaves_pages(int code) noexcept {
  return code == ENOMEM || code == EBUSY || code == EAGAIN || code == ENOENT;
}

long move_pages_to(std::span<void*> pages, int node, std::span<int> status,
                   const PageCalls& calls) {
  const std::vector<int> nodes(pages.size(), node);
  long result = 0;
  int code = 0;
  const auto move = [&](std::size_t at, std::size_t count) {
    std::fill_n(status.begin() + static_cast<std::ptrdiff_t>(at), count, kUnanswered);
    result = calls.move_pages(count, pages.data() + at, nodes.data(), status.data() + at);
    code = errno;
    return result >= 0 || leaves_pages(code);
  };
  bool allowed = move(0, pages.size());
  const bool ended_early = result != 0 && pages.size() > kGroup;
  Group group;
  for (std::size_t at = 0; allowed && at < pages.size(); at += kGroup) {
    const std::size_t count = std::min(kGroup, pages.size() - at);
    const auto answers = status.subspan(at, count);
    if (ended_early && std::find(answers.begin(), answers.end(), kUnanswered) != answers.end())
      allowed = move(at, count);
    // Balancing may hide a page again before it is moved.
    for (int reads = 0; allowed && reads < kMostReads; ++reads) {
      group.read.fill(false);
      if (read_hidden(pages.subspan(at, count), answers, group.presence, group.read, calls) == 0)
        break;
      allowed = move(at, count);
      if (!group.moves_on(answers)) break;
    }
  }
  errno = code;
  return result;
}

bool all_unanswered(std::span<const int> status) noexcept {
  return std::all_of(status.begin(), status.end(), [](int one) { return one == kUnanswered; });
}

// The thread's own policy, without the mark for balancing (MPOL_F_MOF in mm/mempolicy.c,
// mpol_misplaced()). If the thread has no policy, "local" has the same effect as the default.
PagesStay::PagesStay() noexcept {
  int mode = kUnanswered;
  if (kernel::get_mempolicy(mode) != 0 || mode != MPOL_DEFAULT) return;
  changed_ = kernel::set_mempolicy(MPOL_LOCAL) == 0;
}

PagesStay::~PagesStay() {
  if (changed_) kernel::set_mempolicy(MPOL_DEFAULT);
}

}  // namespace numapool::platform
