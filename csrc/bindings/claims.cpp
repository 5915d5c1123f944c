// The list of claimed ranges: short, for a pin lasts long and a move is rare.
#include "claims.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <optional>
#include <vector>

#include "numapool/error.hpp"
#include "platform/locks.hpp"

namespace numapool::bindings {
namespace {

struct Range {
  std::uint64_t id;
  platform::Span span;
};

struct Ranges {
  platform::Mutex mutex{platform::LockRank::kClaims};
  std::vector<Range> held;
  std::vector<Range> moving;
  std::uint64_t next_id = 0;
};

Ranges& ranges = *new Ranges;  // made as the module is loaded; outlives every object of Python's

platform::Span span_of(const Region& region) noexcept {
  const std::uintptr_t page = region.pages.kind == platform::PageKind::kHugetlb
                                  ? region.pages.bytes
                                  : platform::base_page_bytes();
  const auto address = reinterpret_cast<std::uintptr_t>(region.address);
  return {address / page * page, (address + region.length + page - 1) / page * page};
}

// Tells which of two ranges that share no base page share a huge page nevertheless, which moves as
// one: the small blocks of a pool or ring do, whatever they are asked about by. The system is asked
// at the time of the second claim, and only of ranges that are near each other.
class HugePages {
 public:
  [[nodiscard]] bool shared_by(const platform::Span& one, const platform::Span& other) {
    const bool ascending = one.begin < other.begin;
    const std::uintptr_t last = (ascending ? one.end : other.end) - 1;
    const std::uintptr_t next = ascending ? other.begin : one.begin;
    if (last / kNear != next / kNear) return false;
    if (!hugetlb_) hugetlb_ = platform::hugetlb_mappings();
    for (const platform::HugetlbMapping& mapping : *hugetlb_) {
      if (mapping.span.begin <= last && last < mapping.span.end)
        return last / mapping.page_bytes == next / mapping.page_bytes;
    }
    const std::uintptr_t known = platform::whole_entry_bytes();
    const std::uintptr_t size = known != 0 ? known : kUsualTransparent;
    if (last / size != next / size) return false;
    // Of smaller ones the system does not tell which pages are in one.
    const std::uint64_t smaller = std::bit_floor(platform::transparent_sizes() & (size - 1));
    if (smaller != 0 && last / smaller == next / smaller) return true;
    return next < platform::transparent_page_at(last).end;
  }

 private:
  static constexpr std::uintptr_t kNear = std::uintptr_t{16} << 30;  // the largest hugetlb page
  static constexpr std::uintptr_t kUsualTransparent = std::uintptr_t{2} << 20;

  std::optional<std::vector<platform::HugetlbMapping>> hugetlb_;
};

}  // namespace

Claim::Claim(Kind kind, const Region& region) : Claim(kind, {span_of(region)}) {}

Claim::Claim(Kind kind, const std::vector<platform::Span>& spans) {
  HugePages huge;
  Ranges& known = ranges;
  const std::lock_guard guard(known.mutex);
  for (const Range& other : kind == Kind::kMove ? known.held : known.moving) {
    const bool clash = std::any_of(spans.begin(), spans.end(), [&](const platform::Span& span) {
      return (other.span.begin < span.end && span.begin < other.span.end) ||
             huge.shared_by(other.span, span);
    });
    if (clash && kind == Kind::kMove) {
      throw Error(ErrorKind::kBusy,
                  "cannot move pages that are held, or that share a huge page with pages that are: "
                  "a device may know their addresses. Release every pin() of them first");
    }
    if (clash) {
      throw Error(ErrorKind::kBusy,
                  "cannot pin pages that are being moved at this moment, or that share a huge "
                  "page with some. Hold them once the move is done");
    }
  }
  id_ = known.next_id++;
  std::vector<Range>& mine = kind == Kind::kMove ? known.moving : known.held;
  for (const platform::Span& span : spans) mine.push_back({id_, span});
}

Claim::~Claim() {
  Ranges& known = ranges;
  const std::lock_guard guard(known.mutex);
  const auto is_mine = [this](const Range& range) { return range.id == id_; };
  if (std::erase_if(known.held, is_mine) == 0) std::erase_if(known.moving, is_mine);
}

}  // namespace numapool::bindings
