// The list of claimed ranges: short, for a hold lasts long and a move is rare.
#include "claims.hpp"

#include <algorithm>
#include <mutex>
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

// Small blocks of a pool share a huge page, which moves as one.
platform::Span span_of(const Region& region) noexcept {
  const std::uintptr_t page =
      region.pages.kind == platform::PageKind::kBase || region.pages.bytes == 0
          ? platform::base_page_bytes()
          : region.pages.bytes;
  const auto address = reinterpret_cast<std::uintptr_t>(region.address);
  return {address / page * page, (address + region.length + page - 1) / page * page};
}

}  // namespace

Claim::Claim(Kind kind, const Region& region) : Claim(kind, {span_of(region)}) {}

Claim::Claim(Kind kind, const std::vector<platform::Span>& spans) {
  Ranges& known = ranges;
  const std::lock_guard guard(known.mutex);
  for (const Range& other : kind == Kind::kMove ? known.held : known.moving) {
    const bool clash = std::any_of(spans.begin(), spans.end(), [&](const platform::Span& span) {
      return other.span.begin < span.end && span.begin < other.span.end;
    });
    if (clash && kind == Kind::kMove) {
      throw Error(ErrorKind::kBusy,
                  "cannot move pages that are held: a device may know their addresses; release "
                  "every hold() of them first");
    }
    if (clash) {
      throw Error(ErrorKind::kBusy,
                  "cannot hold pages that are being moved at this moment; hold them once that is "
                  "done");
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
