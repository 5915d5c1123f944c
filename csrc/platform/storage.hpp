// What an operating system must provide about files: transfers at an offset, bypassing the page
// cache if possible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "platform/result.hpp"

namespace numapool::platform {

using FileHandle = std::intptr_t;
inline constexpr FileHandle kNoFile = -1;

struct FileRequest {
  bool write = false;     // else read; never both
  bool create = false;    // writing: create the file if it does not exist
  bool truncate = false;  // writing: truncate the file
  bool direct = true;     // bypass the page cache if possible
};

// One file, opened by its path. Each handle must be passed to close_handle() once.
struct OpenedFile {
  FileHandle handle = kNoFile;         // for transfers through the page cache
  FileHandle direct_handle = kNoFile;  // for direct transfers; kNoFile: not possible
  std::uint64_t size_bytes = 0;        // when the file was opened; 0 if the system does not tell
  // Direct transfers must be multiples of these powers of two; 1 without a direct handle.
  std::size_t memory_align = 1;    // for the address
  std::size_t transfer_align = 1;  // for offset and length
  std::string why_not_direct;      // why there is no direct handle; empty if there is one
};

// Fails with code EISDIR for a folder, and ESPIPE for a file without offsets (pipes, sockets).
// Never waits for another process: after EINTR (a signal came) or EAGAIN (another process must
// first give up a lease on the file), the caller should check for signals and try again, after
// EAGAIN with a short delay. Throws only std::bad_alloc.
Result<OpenedFile> open_file(const std::string& path, const FileRequest& request);

struct Piece {
  char* address = nullptr;
  std::size_t length = 0;
};

enum class IoEnd {
  kDone,         // `bytes` were transferred, perhaps fewer than asked for; 0: the end of the file
  kInterrupted,  // interrupted by a signal before any byte was transferred
  kMisaligned,   // direct only: the system does not accept this address, offset or length
  kFailed,       // `code` tells why
};

struct IoResult {
  std::size_t bytes = 0;
  IoEnd end = IoEnd::kDone;
  int code = 0;
};

// File offsets are signed on every system: no byte is beyond this one.
inline constexpr std::uint64_t kLastOffset = std::numeric_limits<std::int64_t>::max();

// One system call each, for at most kMostPieces pieces that are consecutive in the file and end at
// kLastOffset or before.
inline constexpr std::size_t kMostPieces = 64;
[[nodiscard]] IoResult read_at(FileHandle handle, std::span<const Piece> pieces,
                               std::uint64_t offset) noexcept;
[[nodiscard]] IoResult write_at(FileHandle handle, std::span<const Piece> pieces,
                                std::uint64_t offset) noexcept;

// Waits until written data is on the device. Returns `code` as in IoResult, 0 for success. EINTR: a
// signal came first, call it again.
[[nodiscard]] int sync_data(FileHandle handle) noexcept;
// Returns 0, or why the system could not keep what was written.
int close_handle(FileHandle handle) noexcept;

}  // namespace numapool::platform
