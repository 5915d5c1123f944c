// The position of a transfer, and which stretch from there can be transferred in one call.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/storage.hpp"

namespace numapool {

// In one call, so between checks for signals; a device reaches full throughput with less.
inline constexpr std::size_t kTransferChunk = std::size_t{8} << 20;

// The position of a transfer: which piece, and which byte of it.
class Cursor {
 public:
  Cursor(std::span<const platform::Piece> pieces, std::uint64_t offset)
      : pieces_(pieces), offset_(offset) {
    skip_empty();
  }
  [[nodiscard]] bool done() const noexcept { return at_ == pieces_.size(); }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] const char* address() const noexcept { return pieces_[at_].address + in_; }

  // The stretch from here, in up to platform::kMostPieces parts and kTransferChunk bytes. Each part
  // and its address are multiples of the alignment for direct I/O. Empty: direct I/O is not
  // possible from here.
  std::span<const platform::Piece> aligned(std::size_t memory_align, std::size_t transfer_align,
                                           std::uint64_t most) noexcept {
    const std::size_t whole = std::max(memory_align, transfer_align);
    if (offset_ % transfer_align != 0) return {};
    std::uint64_t left = most;
    return collect([&](const platform::Piece& rest) -> std::size_t {
      if (reinterpret_cast<std::uintptr_t>(rest.address) % memory_align != 0) return 0;
      const std::uint64_t taken = std::min<std::uint64_t>(rest.length, left) / whole * whole;
      left -= taken;
      return static_cast<std::size_t>(taken);
    });
  }
  // The same without alignment.
  std::span<const platform::Piece> any(std::size_t most) noexcept {
    std::size_t left = most;
    return collect([&](const platform::Piece& rest) {
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
    const platform::Piece rest = rest_of(at_);
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
  [[nodiscard]] platform::Piece rest_of(std::size_t index) const noexcept {
    const std::size_t skipped = index == at_ ? in_ : 0;
    return {pieces_[index].address + skipped, pieces_[index].length - skipped};
  }
  // `take` returns how much of the rest of a piece to transfer; less than all of it is the last
  // part.
  template <class Take>
  std::span<const platform::Piece> collect(const Take& take) noexcept {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (std::size_t i = at_;
         i < pieces_.size() && count < platform::kMostPieces && bytes < kTransferChunk; ++i) {
      const platform::Piece rest = rest_of(i);
      platform::Piece cut = rest;
      cut.length = std::min(cut.length, kTransferChunk - bytes);
      cut.length = take(cut);
      if (cut.length != 0) parts_[count++] = cut;
      bytes += cut.length;
      if (cut.length != rest.length) break;
    }
    return {parts_.data(), count};
  }

  std::span<const platform::Piece> pieces_;
  std::size_t at_ = 0;
  std::size_t in_ = 0;
  std::uint64_t offset_;
  std::array<platform::Piece, platform::kMostPieces> parts_;
};

}  // namespace numapool
