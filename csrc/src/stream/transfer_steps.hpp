// A transfer as steps: which call comes next, and what its answer means. Whoever makes the calls is
// free how: one after the other, or many transfers at the same time.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "numapool/storage.hpp"
#include "platform/storage.hpp"
#include "stream/transfer_cursor.hpp"

namespace numapool {

class TransferSteps {
 public:
  struct Step {
    bool direct = false;
    std::span<const platform::Piece> parts;  // valid until the step's answer is taken
    std::uint64_t offset = 0;
  };

  // `refused` is set once the system withdraws its support for direct I/O of this file. From
  // `direct_end` on, everything goes through the page cache. `call` is named in failures.
  TransferSteps(const platform::OpenedFile& file, std::atomic<bool>& refused, const char* call,
                bool writes, std::span<const platform::Piece> pieces, std::uint64_t offset,
                std::uint64_t direct_end)
      : file_(file),
        refused_(refused),
        call_(call),
        writes_(writes),
        cursor_(pieces, offset),
        direct_end_(direct_end) {}

  // The next call to make; empty: the transfer has ended.
  [[nodiscard]] std::optional<Step> next();
  // The answer to it. An interrupted call is the next step again.
  void take(const platform::IoResult& result);
  [[nodiscard]] Transfer& outcome() noexcept { return out_; }

 private:
  void fail(int code);

  const platform::OpenedFile& file_;
  std::atomic<bool>& refused_;
  const char* call_;
  bool writes_;
  Cursor cursor_;
  std::uint64_t direct_end_;
  Transfer out_;
  bool ended_ = false;
  bool direct_ = false;   // the step under way
  bool could_ = false;    // have gone directly, aligned otherwise
  bool careful_ = false;  // a direct call failed as a whole: this stretch through the page cache
};

}  // namespace numapool
