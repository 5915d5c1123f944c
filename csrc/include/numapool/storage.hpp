// Files and memory: whole transfers at an offset, past the page cache where alignment allows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "numapool/buffer.hpp"
#include "platform/storage.hpp"

namespace numapool {

// What came of a transfer. With a failure, `bytes` were transferred before it.
struct Transfer {
  std::uint64_t bytes = 0;
  std::uint64_t direct_bytes = 0;  // of them, past the page cache
  std::optional<platform::Failure> failure;
  bool misplaced = false;  // direct I/O was possible, but not for this address and offset
};

// Owns the handles of one open file. Transfers are thread-safe; the rest is not. Movable.
class File {
 public:
  // Waits while another process gives up a lease on the file; `check` is called meanwhile, and
  // stops the waiting by what it throws. Throws nothing else but std::bad_alloc.
  [[nodiscard]] static platform::Result<File> open(const std::string& path,
                                                   const platform::FileRequest& request,
                                                   const InterruptCheck& check);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Fills the pieces, one after the other, with what the file holds from `offset` on: to their end,
  // the end of the file (fewer bytes, no failure) or a failure. `check` is called now and then,
  // and stops the transfer by what it throws.
  [[nodiscard]] Transfer read(std::span<const platform::Piece> pieces, std::uint64_t offset,
                              const InterruptCheck& check) const;
  // The same into the file; `sync` waits until it is on the device.
  [[nodiscard]] Transfer write(std::span<const platform::Piece> pieces, std::uint64_t offset,
                               bool sync, const InterruptCheck& check) const;
  // Closes it now. A failure is one of writing that the system tells only here.
  [[nodiscard]] std::optional<platform::Failure> close() noexcept;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return opened_.size_bytes; }
  [[nodiscard]] std::size_t transfer_align() const noexcept { return opened_.transfer_align; }
  // Why nothing goes past the page cache, however it is aligned; empty: it may.
  [[nodiscard]] std::string why_not_direct() const;

 private:
  explicit File(platform::OpenedFile opened) noexcept : opened_(std::move(opened)) {}
  template <class Call>
  Transfer transfer(const Call& call, const char* name, bool writes,
                    std::span<const platform::Piece> pieces, std::uint64_t offset,
                    std::uint64_t direct_end, const InterruptCheck& check) const;

  platform::OpenedFile opened_;
  mutable std::atomic<bool> refused_{false};  // the system took back what it told of direct I/O
};

}  // namespace numapool
