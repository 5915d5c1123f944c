// Decides step by step how a transfer goes on.
#include "stream/transfer_steps.hpp"

#include <algorithm>
#include <cerrno>
#include <string>

namespace numapool {
namespace {

using platform::IoEnd;

// How many bytes a file can have after an offset.
std::uint64_t room_at(std::uint64_t offset) noexcept {
  return offset < platform::kLastOffset ? platform::kLastOffset - offset : 0;
}

}  // namespace

std::optional<TransferSteps::Step> TransferSteps::next() {
  if (ended_ || cursor_.done()) return std::nullopt;
  const std::uint64_t at = cursor_.offset();
  const std::uint64_t room = room_at(at);
  if (room == 0) {  // for a read, the end of any file
    if (writes_) fail(EFBIG);
    return std::nullopt;
  }
  const bool may = file_.direct_handle != platform::kNoFile && !careful_ &&
                   !refused_.load(std::memory_order_relaxed) && at < direct_end_;
  Step step{false, {}, at};
  if (may) {
    step.parts =
        cursor_.aligned(file_.memory_align, file_.transfer_align, std::min(direct_end_ - at, room));
  }
  step.direct = direct_ = !step.parts.empty();
  could_ = false;
  if (!direct_) {
    const std::size_t head =
        may ? cursor_.to_alignment(file_.memory_align, file_.transfer_align) : 0;
    could_ = may && head == 0;
    step.parts = cursor_.any(std::min<std::uint64_t>(head != 0 ? head : kTransferChunk, room));
  }
  return step;
}

void TransferSteps::take(const platform::IoResult& result) {
  if (result.end == IoEnd::kInterrupted) return;
  if (direct_ && result.end == IoEnd::kMisaligned) {
    refused_.store(true, std::memory_order_relaxed);
    return;
  }
  // A direct call fails as a whole; a call through the page cache fails after the part that
  // succeeded.
  careful_ = direct_ && result.end != IoEnd::kDone;
  if (careful_) return;
  if (result.end != IoEnd::kDone) {
    fail(result.code);
    return;
  }
  if (result.bytes == 0) {
    ended_ = true;
    return;
  }
  out_.bytes += result.bytes;
  out_.misplaced = out_.misplaced || (could_ && result.bytes >= 2 * file_.transfer_align);
  if (direct_) out_.direct_bytes += result.bytes;
  cursor_.advance(result.bytes);
}

void TransferSteps::fail(int code) {
  ended_ = true;
  out_.failure = platform::Failure{platform::Cause::kOther, call_, code,
                                   "offset " + std::to_string(cursor_.offset())};
}

}  // namespace numapool
