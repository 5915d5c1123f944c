// Where pages are: move_pages, else get_mempolicy by address, else numa_maps, else unknown, never a
// guess.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <span>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/numa_maps.hpp"
#include "platform/linux/memory/page_nodes.hpp"
#include "platform/linux/memory/pagemap.hpp"
#include "platform/linux/memory/smaps.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kSampleStride = 64;  // base pages; at 4 KiB one look per 256 KiB

// Asks for the node of many pages, in batches, by the best call that this process may make.
class Census {
 public:
  explicit Census(Residency& out) noexcept : out_(out) {}

  void look(std::uintptr_t page, std::uint64_t weight_bytes) {
    pages_[count_] = reinterpret_cast<void*>(page);
    weights_[count_] = weight_bytes;
    if (++count_ == kBatch) flush();
  }
  void skip(std::uint64_t bytes) noexcept { out_.not_resident_bytes += bytes; }

  void finish() {
    flush();
    out_.bytes_by_node.assign(bytes_by_node_.begin(), bytes_by_node_.end());
    if (out_.method == Method::kUnknown && asked_ && out_.unknown_bytes == 0) out_.method = method_;
  }

 private:
  static constexpr std::size_t kBatch = 512;

  void flush() {
    if (count_ == 0) return;
    asked_ = true;
    ask();
    for (std::size_t i = 0; i < count_; ++i) {
      const int node = status_[i];
      if (node >= 0) {
        bytes_by_node_[node] += weights_[i];
      } else if (node == kUnknownNode) {
        out_.unknown_bytes += weights_[i];
      } else {
        out_.not_resident_bytes += weights_[i];
      }
    }
    count_ = 0;
  }

  void ask() {
    static std::atomic<bool> move_pages_denied{false};
    const std::span<int> status(status_.data(), count_);
    if (!move_pages_denied.load(std::memory_order_relaxed)) {
      const Status asked = ask_nodes({pages_.data(), count_}, status);
      if (asked) {
        method_ = Method::kMovePages;
        return;
      }
      if (!is_denied(asked.failure())) {
        std::fill(status.begin(), status.end(), kUnknownNode);
        return;
      }
      move_pages_denied.store(true, std::memory_order_relaxed);
    }
    ask_one_by_one();
  }

  // get_mempolicy faults a page in that is not resident, so it is asked only about pages that are
  // in the page table.
  void ask_one_by_one() {
    method_ = Method::kGetMempolicy;
    const PagesStay stay;
    read_presence({pages_.data(), count_}, presence_);
    for (std::size_t i = 0; i < count_; ++i) {
      status_[i] = kUnknownNode;
      if (presence_[i] == Presence::kAbsent) {
        status_[i] = kNotResident;
      } else if (presence_[i] == Presence::kPresent && !denied_) {
        int node = kUnanswered;
        const bool told = kernel::node_of_address(node, pages_[i]) == 0;
        if (told && node >= 0) status_[i] = node;
        // Of the call, not of this page (EFAULT: it may not be read).
        denied_ = told ? node < 0 : is_denied(failed("get_mempolicy", errno));
      }
    }
  }

  Residency& out_;
  Method method_ = Method::kUnknown;
  bool asked_ = false;
  bool denied_ = false;
  std::size_t count_ = 0;
  std::map<int, std::uint64_t> bytes_by_node_;
  std::array<void*, kBatch> pages_{};
  std::array<std::uint64_t, kBatch> weights_{};
  std::array<int, kBatch> status_{};
  std::array<Presence, kBatch> presence_{};
};

// Looks at one page in every aligned `step` bytes of [start, end); each stands for the bytes up to
// the next.
void look_by_step(Census& census, std::uintptr_t start, std::uintptr_t end, std::size_t step) {
  for (std::uintptr_t at = start; at < end;) {
    const std::uintptr_t next = std::min(end, at - at % step + step);
    census.look(at, next - at);
    at = next;
  }
}

}  // namespace

Residency residency(const void* address, std::size_t length, const Pages& pages,
                    Precision precision) {
  Residency out;
  const std::size_t base = base_page_bytes();
  out.page_bytes = pages.kind == PageKind::kHugetlb ? pages.bytes : base;
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = begin + length;
  const std::size_t base_step = precision == Precision::kSampled ? base * kSampleStride : base;
  const std::size_t huge_step =
      pages.kind == PageKind::kHugetlb ? pages.bytes : whole_entry_bytes();

  Census census(out);
  std::uintptr_t seen = begin;
  std::uintptr_t known = begin;
  const std::size_t plain_step = pages.kind == PageKind::kHugetlb ? pages.bytes : base_step;
  // A range under a few huge pages is asked page by page at once: the scan would cost more than it
  // saves.
  if (length > 64 * base || pages.kind == PageKind::kHugetlb) {
    known = scan_resident(address, length, [&](const ResidentRun& run) {
      if (run.start > seen) census.skip(run.start - seen);
      seen = run.end;
      if (run.huge && huge_step != 0) {
        out.page_bytes = std::max(out.page_bytes, huge_step);
        look_by_step(census, run.start, run.end, huge_step);
      } else {
        look_by_step(census, run.start, run.end, plain_step);
      }
    });
    known = std::max(known, seen);
    census.skip(known - seen);
  }
  // Pages that no scan reported are asked about one by one.
  if (known < end) {
    const bool may_be_huge = pages.kind == PageKind::kTransparent && huge_step != 0 &&
                             length >= huge_step && precision == Precision::kExact;
    if (may_be_huge && holds_huge_pages(begin, end)) out.page_bytes = huge_step;
    look_by_step(census, known, end, plain_step);
  }
  census.finish();
  if (out.unknown_bytes != 0) {
    if (auto counted = count_in_numa_maps(begin, end, base)) return *counted;
  }
  return out;
}

}  // namespace numapool::platform
