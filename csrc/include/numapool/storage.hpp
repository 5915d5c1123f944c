// Transfers between files and memory, at an offset, bypassing the page cache if alignment allows.
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

// The result of a transfer. If it failed, `bytes` were transferred before that.
struct Transfer {
  std::uint64_t bytes = 0;
  std::uint64_t direct_bytes = 0;  // the part of `bytes` that bypassed the page cache
  std::optional<platform::Failure> failure;
  bool misplaced = false;  // direct I/O works for this file, but not for this address and offset
};

// Owns the handles of one open file. Transfers are thread-safe, everything else is not. Movable.
class File {
 public:
  // Waits while another process gives up its lease on the file. `check` is called meanwhile, and
  // stops the wait by throwing. Otherwise throws only std::bad_alloc.
  [[nodiscard]] static platform::Result<File> open(const std::string& path,
                                                   const platform::FileRequest& request,
                                                   const InterruptCheck& check);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Fills the pieces in order with the file's contents from `offset` on, until they are full, the
  // file ends (fewer bytes, no failure), or a read fails. `check` is called regularly, and stops
  // the transfer by throwing.
  [[nodiscard]] Transfer read(std::span<const platform::Piece> pieces, std::uint64_t offset,
                              const InterruptCheck& check) const;
  // Writes the pieces to the file; with `sync`, waits until the data is on the device.
  [[nodiscard]] Transfer write(std::span<const platform::Piece> pieces, std::uint64_t offset,
                               bool sync, const InterruptCheck& check) const;
  // Closes the file now. A failure here is a write error that the system reports only on closing.
  [[nodiscard]] std::optional<platform::Failure> close() noexcept;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return opened_.size_bytes; }
  [[nodiscard]] std::size_t transfer_align() const noexcept { return opened_.transfer_align; }
  // Reads beyond this offset go through the page cache: a device writes whole blocks, and the
  // file's last one includes bytes beyond its end.
  [[nodiscard]] std::uint64_t direct_read_end() const noexcept {
    return opened_.size_bytes / opened_.transfer_align * opened_.transfer_align;
  }
  // For code that makes the calls of a transfer itself, such as many at the same time.
  [[nodiscard]] const platform::OpenedFile& opened() const noexcept { return opened_; }
  [[nodiscard]] std::atomic<bool>& refused() const noexcept { return refused_; }
  // Why no transfer can bypass the page cache, whatever its alignment; empty: it can.
  [[nodiscard]] std::string why_not_direct() const;

 private:
  explicit File(platform::OpenedFile opened) noexcept : opened_(std::move(opened)) {}
  template <class Call>
  Transfer transfer(const Call& call, const char* name, bool writes,
                    std::span<const platform::Piece> pieces, std::uint64_t offset,
                    std::uint64_t direct_end, const InterruptCheck& check) const;

  platform::OpenedFile opened_;
  mutable std::atomic<bool> refused_{false};  // the system withdrew its support for direct I/O
};

}  // namespace numapool
