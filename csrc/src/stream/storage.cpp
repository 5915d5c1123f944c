// Whole transfers between a file and memory: short transfers are continued, and aligned stretches
// bypass the page cache.
#include "numapool/storage.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "stream/direct_gate.hpp"

namespace numapool {
namespace {

using platform::IoEnd;
using platform::IoResult;
using platform::Piece;

// Between checks for signals; a device reaches full throughput with less.
constexpr std::size_t kTransferChunk = std::size_t{8} << 20;
// Between attempts to open a file on which another process has a lease.
constexpr std::chrono::milliseconds kLongestPause{50};

// The position of a transfer: which piece, and which byte of it.
class Cursor {
 public:
  Cursor(std::span<const Piece> pieces, std::uint64_t offset) : pieces_(pieces), offset_(offset) {
    skip_empty();
  }
  [[nodiscard]] bool done() const noexcept { return at_ == pieces_.size(); }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] const char* address() const noexcept { return pieces_[at_].address + in_; }

  // The stretch from here, in up to platform::kMostPieces parts and kTransferChunk bytes. Each part
  // and its address are multiples of the alignment for direct I/O. Empty: direct I/O is not
  // possible from here.
  std::span<const Piece> aligned(std::size_t memory_align, std::size_t transfer_align,
                                 std::uint64_t most) noexcept {
    const std::size_t whole = std::max(memory_align, transfer_align);
    if (offset_ % transfer_align != 0) return {};
    std::uint64_t left = most;
    return collect([&](const Piece& rest) -> std::size_t {
      if (reinterpret_cast<std::uintptr_t>(rest.address) % memory_align != 0) return 0;
      const std::uint64_t taken = std::min<std::uint64_t>(rest.length, left) / whole * whole;
      left -= taken;
      return static_cast<std::size_t>(taken);
    });
  }
  // The same without alignment.
  std::span<const Piece> any(std::size_t most) noexcept {
    std::size_t left = most;
    return collect([&](const Piece& rest) {
      const std::size_t taken = std::min(rest.length, left);
      left -= taken;
      return taken;
    });
  }
  // Bytes until direct I/O can begin; 0: nowhere in this piece.
  [[nodiscard]] std::size_t to_alignment(std::size_t memory_align,
                                         std::size_t transfer_align) const noexcept {
    const std::size_t head = transfer_align - offset_ % transfer_align;
    const std::size_t whole = std::max(memory_align, transfer_align);
    const Piece rest = rest_of(at_);
    const auto begin = reinterpret_cast<std::uintptr_t>(rest.address) + head;
    return begin % memory_align == 0 && rest.length >= head + whole ? head : 0;
  }
  void advance(std::size_t bytes) noexcept {
    offset_ += bytes;
    while (bytes != 0) {
      const std::size_t part = std::min(bytes, pieces_[at_].length - in_);
      in_ += part;
      bytes -= part;
      skip_empty();
    }
  }

 private:
  void skip_empty() noexcept {
    while (at_ < pieces_.size() && in_ == pieces_[at_].length) {
      ++at_;
      in_ = 0;
    }
  }
  [[nodiscard]] Piece rest_of(std::size_t index) const noexcept {
    const std::size_t skipped = index == at_ ? in_ : 0;
    return {pieces_[index].address + skipped, pieces_[index].length - skipped};
  }
  // `take` returns how much of the rest of a piece to transfer; less than all of it is the last
  // part.
  template <class Take>
  std::span<const Piece> collect(const Take& take) noexcept {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (std::size_t i = at_;
         i < pieces_.size() && count < platform::kMostPieces && bytes < kTransferChunk; ++i) {
      const Piece rest = rest_of(i);
      Piece cut = rest;
      cut.length = std::min(cut.length, kTransferChunk - bytes);
      cut.length = take(cut);
      if (cut.length != 0) parts_[count++] = cut;
      bytes += cut.length;
      if (cut.length != rest.length) break;
    }
    return {parts_.data(), count};
  }

  std::span<const Piece> pieces_;
  std::size_t at_ = 0;
  std::size_t in_ = 0;
  std::uint64_t offset_;
  std::array<Piece, platform::kMostPieces> parts_;
};

// How many bytes a file can have after an offset.
std::uint64_t room_at(std::uint64_t offset) noexcept {
  return offset < platform::kLastOffset ? platform::kLastOffset - offset : 0;
}

platform::Failure failed(const char* call, int code, std::uint64_t offset) {
  return {platform::Cause::kOther, call, code, "offset " + std::to_string(offset)};
}

}  // namespace

platform::Result<File> File::open(const std::string& path, const platform::FileRequest& request,
                                  const InterruptCheck& check) {
  std::chrono::milliseconds pause{1};
  while (true) {
    platform::Result<platform::OpenedFile> opened = platform::open_file(path, request);
    if (opened) return File(std::move(opened).value());
    const int code = opened.failure().code;
    if (code != EINTR && code != EAGAIN) return opened.failure();
    check();
    if (code == EINTR) continue;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

File::File(File&& other) noexcept
    : opened_(std::move(other.opened_)), refused_(other.refused_.load(std::memory_order_relaxed)) {
  other.opened_.handle = platform::kNoFile;
  other.opened_.direct_handle = platform::kNoFile;
}

File::~File() { static_cast<void>(close()); }

std::optional<platform::Failure> File::close() noexcept {
  int code = 0;
  for (platform::FileHandle* const handle : {&opened_.direct_handle, &opened_.handle}) {
    const platform::FileHandle closed = std::exchange(*handle, platform::kNoFile);
    if (closed == platform::kNoFile) continue;
    const int answer = platform::close_handle(closed);
    if (code == 0) code = answer;
  }
  if (code == 0) return std::nullopt;
  return platform::Failure{platform::Cause::kOther, "close", code, {}};
}

std::string File::why_not_direct() const {
  if (!opened_.why_not_direct.empty()) return opened_.why_not_direct;
  if (refused_.load(std::memory_order_relaxed))
    return "the system refused direct I/O of this file, although it is aligned";
  return {};
}

template <class Call>
Transfer File::transfer(const Call& call, const char* name, bool writes,
                        std::span<const Piece> pieces, std::uint64_t offset,
                        std::uint64_t direct_end, const InterruptCheck& check) const {
  Transfer out;
  Cursor cursor(pieces, offset);
  const std::size_t memory = opened_.memory_align;
  const std::size_t whole = opened_.transfer_align;
  bool careful = false;
  for (bool first = true; !cursor.done(); first = false) {
    if (!first) check();
    const bool may = opened_.direct_handle != platform::kNoFile && !careful &&
                     !refused_.load(std::memory_order_relaxed) && cursor.offset() < direct_end;
    const std::uint64_t room = room_at(cursor.offset());
    if (room == 0) {  // for a read, the end of any file
      if (writes) out.failure = failed(name, EFBIG, cursor.offset());
      return out;
    }
    std::span<const Piece> parts;
    if (may) parts = cursor.aligned(memory, whole, std::min(direct_end - cursor.offset(), room));
    const bool direct = !parts.empty();
    bool could = false;  // have gone directly, aligned otherwise
    if (!direct) {
      const std::size_t head = may ? cursor.to_alignment(memory, whole) : 0;
      could = may && head == 0;
      parts = cursor.any(std::min<std::uint64_t>(head != 0 ? head : kTransferChunk, room));
    }
    const IoResult result =
        call(direct ? opened_.direct_handle : opened_.handle, parts, cursor.offset(), direct);
    if (result.end == IoEnd::kInterrupted) continue;
    if (direct && result.end == IoEnd::kMisaligned) {
      refused_.store(true, std::memory_order_relaxed);
      continue;
    }
    // A direct call fails as a whole; a call through the page cache fails after the part that
    // succeeded.
    careful = direct && result.end != IoEnd::kDone;
    if (careful) continue;
    if (result.end != IoEnd::kDone) {
      out.failure = failed(name, result.code, cursor.offset());
      return out;
    }
    if (result.bytes == 0) return out;
    out.bytes += result.bytes;
    out.misplaced = out.misplaced || (could && result.bytes >= 2 * whole);
    if (direct) out.direct_bytes += result.bytes;
    cursor.advance(result.bytes);
  }
  return out;
}

Transfer File::read(std::span<const Piece> pieces, std::uint64_t offset,
                    const InterruptCheck& check) const {
  const auto call = [](platform::FileHandle handle, std::span<const Piece> parts, std::uint64_t at,
                       bool direct) {
    if (!direct) return platform::read_at(handle, parts, at);
    const DirectRead gate;
    return platform::read_at(handle, parts, at);
  };
  // A device writes whole blocks: the file's last one includes bytes beyond its end.
  const std::uint64_t last = opened_.size_bytes / opened_.transfer_align * opened_.transfer_align;
  return transfer(call, "preadv", false, pieces, offset, last, check);
}

Transfer File::write(std::span<const Piece> pieces, std::uint64_t offset, bool sync,
                     const InterruptCheck& check) const {
  const auto call = [](platform::FileHandle handle, std::span<const Piece> parts, std::uint64_t at,
                       bool) {
    IoResult result = platform::write_at(handle, parts, at);
    // A system that transfers nothing and gives no reason would make this loop endless.
    if (result.end == IoEnd::kDone && result.bytes == 0) return IoResult{0, IoEnd::kFailed, EIO};
    return result;
  };
  constexpr std::uint64_t kAnywhere = std::numeric_limits<std::uint64_t>::max();
  Transfer out = transfer(call, "pwritev", true, pieces, offset, kAnywhere, check);
  if (out.failure || !sync) return out;
  int code = platform::sync_data(opened_.handle);
  while (code == EINTR) {
    check();
    code = platform::sync_data(opened_.handle);
  }
  if (code != 0) out.failure = failed("fdatasync", code, offset);
  return out;
}

}  // namespace numapool
