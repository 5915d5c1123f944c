// Pages of memory that other code allocated.
#include "numapool/object_memory.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "memory/known_place.hpp"
#include "memory/move_parts.hpp"
#include "memory/range_placement.hpp"
#include "numapool/error.hpp"
#include "platform/locks.hpp"

namespace numapool {
namespace {

using platform::Span;

constexpr std::size_t kLookedAtOnce = std::size_t{64} << 20;  // between checks for an interrupt

// Takes one dimension after another, the widest first, until the rest touches pages without a gap.
class Walk {
 public:
  Walk(std::vector<Span>& out, std::uint64_t block, const std::vector<Dimension>& outer)
      : out_(out), block_(block), outer_(outer), page_(platform::base_page_bytes()) {}

  void go(std::uintptr_t address, std::size_t depth) {
    if (depth == outer_.size()) {
      const Span span{address / page_ * page_, (address + block_ + page_ - 1) / page_ * page_};
      if (!out_.empty() && out_.back().begin <= span.begin && span.begin <= out_.back().end) {
        out_.back().end = std::max(out_.back().end, span.end);
      } else {
        out_.push_back(span);
      }
      return;
    }
    const Dimension& dimension = outer_[depth];
    for (std::uint64_t i = 0; i < dimension.count; ++i) {
      go(address + i * static_cast<std::uint64_t>(dimension.stride_bytes), depth + 1);
    }
  }

 private:
  std::vector<Span>& out_;
  std::uint64_t block_;
  const std::vector<Dimension>& outer_;
  std::uintptr_t page_;
};

// A part of a span, and the page size to query it by.
struct Tract {
  Span span;
  platform::Pages pages;
};

// Other code's memory may be in hugetlb pages, which only the system can tell.
std::vector<Tract> tracts_of(const std::vector<Span>& spans) {
  const std::size_t huge = platform::whole_entry_bytes();
  const platform::Pages plain =
      huge == 0 ? platform::Pages{platform::PageKind::kBase, platform::base_page_bytes()}
                : platform::Pages{platform::PageKind::kTransparent, huge};
  const std::vector<platform::HugetlbMapping> hugetlb = platform::hugetlb_mappings();
  std::vector<Tract> out;
  for (Span rest : spans) {
    for (const platform::HugetlbMapping& one : hugetlb) {
      if (one.span.end <= rest.begin || one.span.begin >= rest.end) continue;
      if (one.span.begin > rest.begin) out.push_back({{rest.begin, one.span.begin}, plain});
      const Span inside{std::max(rest.begin, one.span.begin), std::min(rest.end, one.span.end)};
      out.push_back({inside, {platform::PageKind::kHugetlb, one.page_bytes}});
      rest.begin = inside.end;
    }
    if (rest.begin < rest.end) out.push_back({rest, plain});
  }
  return out;
}

// The parts that are looked at and moved. They are of whole huge pages, so that a look at one page
// never counts for another, or smaller than one.
std::vector<Tract> parts_of(const std::vector<Span>& spans, std::size_t part_bytes) {
  std::vector<Tract> out;
  for (const Tract& tract : tracts_of(spans)) {
    const bool one_kind = tract.pages.kind == platform::PageKind::kBase;
    const std::size_t huge = one_kind ? 1 : tract.pages.bytes;
    const std::size_t most = std::max(part_bytes, huge);
    for (std::uintptr_t at = tract.span.begin; at < tract.span.end;) {
      std::uintptr_t end = at - at % most + most;
      if (at % huge != 0) end = at - at % huge + huge;
      end = std::min(end, tract.span.end);
      if (end % huge != 0 && end - at > huge) end -= end % huge;
      out.push_back({{at, end}, tract.pages});
      at = end;
    }
  }
  return out;
}

// Moves parts of memory to a node, several threads at once, and adds up what came of them. Each
// part is looked at by the thread that moves it.
class OwnMoves {
 public:
  OwnMoves(const std::vector<Tract>& parts, int node) : parts_(parts), node_(node) {}

  platform::Status move(std::size_t at) {
    const auto& [span, pages] = parts_[at];
    auto* const address = reinterpret_cast<void*>(span.begin);
    const std::size_t bytes = span.end - span.begin;
    const Placement before = look(address, bytes, pages, platform::Precision::kExact);
    const auto moved = platform::move_resident(address, bytes, pages, node_);
    if (!moved) return not_moved(before, moved.failure());
    const platform::MoveTally& kept = moved.value();
    const auto known = after_move(before, node_, bytes, kept.there_bytes);
    add(before, known ? *known : look(address, bytes, pages, platform::Precision::kExact), kept);
    return platform::Done{};
  }

  // Memory that is not to be moved.
  void stays(const Placement& placement) { add(placement, placement, {}); }

  // When every thread has ended.
  MoveOutcome outcome() { return {before_.take(), after_.take(), kept_, 0}; }
  [[nodiscard]] const std::optional<platform::Failure>& no_job() const noexcept { return no_job_; }

 private:
  // If pages are never moved, those that are there already do not have to be.
  platform::Status not_moved(const Placement& before, const platform::Failure& failure) {
    const bool there = before.bytes_by_node.empty() || before.sole_node() == node_;
    if (!platform::is_no_job(failure) || !there || before.unknown_bytes != 0) return failure;
    add(before, before, {});
    const std::lock_guard guard(mutex_);
    no_job_ = failure;
    return platform::Done{};
  }

  void add(const Placement& before, const Placement& after, const platform::MoveTally& kept) {
    const std::lock_guard guard(mutex_);
    before_.add(before);
    after_.add(after);
    kept_ += kept;
  }

  const std::vector<Tract>& parts_;
  const int node_;
  platform::Mutex mutex_{platform::LockRank::kPopulate};  // held while what follows is changed
  PlacementSum before_;
  PlacementSum after_;
  platform::MoveTally kept_;
  std::optional<platform::Failure> no_job_;
};

// `rest` is looked at alone.
MoveOutcome move_own(const std::vector<Span>& own, const std::vector<Span>& rest, int node,
                     const InterruptCheck& check) {
  std::uint64_t bytes = 0;
  for (const Span& span : own) bytes += span.end - span.begin;
  const Movers movers(node);
  const std::vector<Tract> parts = parts_of(own, movers.part_bytes(bytes));
  OwnMoves moves(parts, node);
  if (!rest.empty()) moves.stays(placement_of(rest, check));
  auto failure =
      movers.move(parts.size(), [&moves](std::size_t at) { return moves.move(at); }, check);
  MoveOutcome out = moves.outcome();
  if (!failure && out.before.bytes_by_node.empty()) failure = moves.no_job();
  if (failure)
    throw Error(platform::is_denied(*failure) ? ErrorKind::kUnsupported : ErrorKind::kSystem,
                "cannot move pages to node " + std::to_string(node) + ": " + describe(*failure) +
                    "; everything keeps its contents where it is",
                failure->code);
  return out;
}

}  // namespace

std::vector<Span> pages_of(std::uintptr_t address, std::size_t item_bytes,
                           std::vector<Dimension> dimensions) {
  std::vector<Span> out;
  std::vector<Dimension> wide;
  for (Dimension one : dimensions) {
    if (one.count == 0) return out;
    if (one.count == 1 || one.stride_bytes == 0) continue;
    if (one.stride_bytes < 0) {
      address += (one.count - 1) * static_cast<std::uint64_t>(one.stride_bytes);
      one.stride_bytes = -one.stride_bytes;
    }
    wide.push_back(one);
  }
  if (item_bytes == 0) return out;
  std::sort(wide.begin(), wide.end(),
            [](const Dimension& a, const Dimension& b) { return a.stride_bytes > b.stride_bytes; });
  std::uint64_t block = item_bytes;
  const std::uint64_t page = platform::base_page_bytes();
  while (!wide.empty()) {
    const Dimension& inner = wide.back();
    const auto stride = static_cast<std::uint64_t>(inner.stride_bytes);
    if (stride > block && stride - block >= page) break;  // the gap may contain a page
    if (inner.count - 1 > (UINTPTR_MAX - block) / stride)
      throw Error(ErrorKind::kInvalidArgument, "the array is larger than the address space");
    block += (inner.count - 1) * stride;
    wide.pop_back();
  }
  if (block > UINTPTR_MAX - address - page)
    throw Error(ErrorKind::kInvalidArgument, "the array reaches beyond the address space");
  Walk(out, block, wide).go(address, 0);
  return out;
}

std::vector<Span> merged(std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> out;
  for (const Span& span : spans) {
    if (!out.empty() && span.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, span.end);
    } else {
      out.push_back(span);
    }
  }
  return out;
}

Placement placement_of(const std::vector<Span>& spans, const InterruptCheck& check) {
  PlacementSum sum;
  for (const Tract& part : parts_of(spans, kLookedAtOnce)) {
    check();
    sum.add(look(reinterpret_cast<void*>(part.span.begin), part.span.end - part.span.begin,
                 part.pages, platform::Precision::kExact));
  }
  return sum.take();
}

MoveOutcome move_to(const std::vector<Span>& spans, int node, const InterruptCheck& check) {
  const CountedMove counted;
  std::vector<Span> own;
  std::vector<Span> of_files;
  const std::vector<Span> files = platform::file_mappings();
  for (Span span : spans) {
    for (const Span& file : files) {
      if (file.end <= span.begin || file.begin >= span.end) continue;
      if (file.begin > span.begin) own.push_back({span.begin, file.begin});
      of_files.push_back({std::max(file.begin, span.begin), std::min(file.end, span.end)});
      span.begin = of_files.back().end;
    }
    if (span.begin < span.end) own.push_back(span);
  }
  MoveOutcome out = move_own(own, of_files, node, check);
  for (const Span& file : of_files) out.file_bytes += file.end - file.begin;
  return out;
}

}  // namespace numapool
