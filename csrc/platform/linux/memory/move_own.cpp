// Moves pages of this process to a node: a huge page by one of its addresses, base pages many at
// once.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/move_pages.hpp"
#include "platform/linux/memory/page_nodes.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

// A range whose pages are moved to one node.
class Moves {
 public:
  Moves(const PageCalls& calls, int node) noexcept : calls_(calls), node_(node) {}

  // Moves the pages of `step` bytes in [begin, end).
  Status by_step(std::uintptr_t begin, std::uintptr_t end, std::size_t step) {
    for (std::uintptr_t at = begin; at < end;) {
      list(at, end, step);
      if (const Status moved = move(); !moved) return moved;
      there_ += step * static_cast<std::size_t>(std::ranges::count(status_, node_));
    }
    return Done{};
  }

  // Bytes of pages that move_pages said are on the node. That one of its pages is there proves
  // nothing of a whole block.
  [[nodiscard]] std::uint64_t there() const noexcept { return there_; }

  // A page that is asked to move takes the huge page that it belongs to along. So the first page of
  // each block is moved, and a look at the last one tells whether the block was one. The blocks
  // that were none are moved page by page.
  Status by_blocks(std::uintptr_t begin, std::uintptr_t end, std::size_t block) {
    const std::size_t page = base_page_bytes();
    for (std::uintptr_t at = begin; at < end;) {
      std::uintptr_t one = at;
      list(at, end, block);
      if (const Status moved = move(); !moved) return moved;
      for (void*& first : pages_) first = static_cast<char*>(first) + (block - page);
      if (!ask_nodes(pages_, status_, calls_)) std::ranges::fill(status_, kUnknownNode);
      const std::vector<int> last(status_);
      for (std::size_t i = 0; i < last.size(); ++i, one += block) {
        if (last[i] == node_) continue;
        const std::uintptr_t first = one;
        for (; i + 1 < last.size() && last[i + 1] != node_; ++i) one += block;
        if (const Status moved = by_step(first, one + block, page); !moved) return moved;
      }
    }
    return Done{};
  }

 private:
  // Lists the pages of the next call, and moves `at` behind them.
  void list(std::uintptr_t& at, std::uintptr_t end, std::size_t step) {
    pages_.clear();
    for (; at < end && pages_.size() < kPagesPerMove; at += step)
      pages_.push_back(reinterpret_cast<void*>(at));
    status_.resize(pages_.size());
  }

  // A page that is not resident is reported in `status_`. The caller checks afterwards where the
  // pages are.
  Status move() {
    const long done = move_pages_to(pages_, node_, status_, calls_);
    const int code = done < 0 ? errno : ENOSYS;
    if (done < 0 ? leaves_pages(code) : done > 0 || !all_unanswered(status_)) return Done{};
    return failed("move_pages", code, "node " + std::to_string(node_));
  }

  const PageCalls& calls_;
  int node_;
  std::vector<void*> pages_;
  std::vector<int> status_;
  std::uint64_t there_ = 0;
};

}  // namespace

Result<std::uint64_t> move_to_node_by(const PageCalls& calls, void* address, std::size_t length,
                                      const Pages& pages, int node) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = begin + length;
  Moves moves(calls, node);
  const std::size_t page = base_page_bytes();
  const auto all = [&]() -> Status {
    // A hugetlb page moves by its first base page.
    if (pages.kind == PageKind::kHugetlb) return moves.by_step(begin, end, pages.bytes);
    const std::size_t block = pages.bytes;
    const std::uintptr_t blocks = (begin + block - 1) / block * block;
    const std::uintptr_t blocks_end = end / block * block;
    if (pages.kind == PageKind::kBase || blocks >= blocks_end)
      return moves.by_step(begin, end, page);
    if (const Status moved = moves.by_step(begin, blocks, page); !moved) return moved;
    if (const Status moved = moves.by_blocks(blocks, blocks_end, block); !moved) return moved;
    return moves.by_step(blocks_end, end, page);
  };
  if (const Status moved = all(); !moved) return moved.failure();
  return moves.there();
}

// move_pages leaves the policy alone: while pages move, a fault in another thread must never meet a
// strict bind.
Result<std::uint64_t> move_to_node(void* address, std::size_t length, const Pages& pages,
                                   int node) {
  auto moved = move_to_node_by(kSystemPageCalls, address, length, pages, node);
  if (moved || moved.failure().cause == Cause::kOther || moved.failure().cause == Cause::kInvalid)
    return moved;
  // The call was refused, or accepted and not done (containers). A preferred policy with
  // MPOL_MF_MOVE moves what fits, and cannot invoke the OOM killer.
  const std::array<int, 1> target{node};
  const Status bound = set_policy(address, length, Policy::kPreferred, target, true);
  if (!bound && bound.failure().cause != Cause::kPartial) return bound.failure();
  return std::uint64_t{0};
}

}  // namespace numapool::platform
