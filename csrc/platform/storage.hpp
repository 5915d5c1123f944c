// What an operating system must provide about files: transfers at an offset, past the page cache
// where it can.
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
  bool create = false;    // writing: make it where it is not there
  bool truncate = false;  // writing: drop what it holds
  bool direct = true;     // transfer past the page cache where that can be
};

// One file, opened by its path; handles are passed to close_handle(), each once.
struct OpenedFile {
  FileHandle handle = kNoFile;         // through the page cache
  FileHandle direct_handle = kNoFile;  // past it; kNoFile: that cannot be
  std::uint64_t size_bytes = 0;        // when it was opened; 0 where the system does not tell
  // What direct transfers are multiples of; powers of two, 1 without a direct handle.
  std::size_t memory_align = 1;    // the address
  std::size_t transfer_align = 1;  // offset and length
  std::string why_not_direct;      // empty with a direct handle
};

// Fails with code EISDIR for a folder and ESPIPE for what has no offsets (pipes, sockets). Never
// waits for another process: EINTR (a signal came) and EAGAIN (another process must first give up a
// lease on the file) ask the caller to look for signals and to try again, EAGAIN after a moment.
// Throws nothing but std::bad_alloc.
Result<OpenedFile> open_file(const std::string& path, const FileRequest& request);

struct Piece {
  char* address = nullptr;
  std::size_t length = 0;
};

enum class IoEnd {
  kDone,         // `bytes` were transferred, perhaps fewer than asked; none: the end of the file
  kInterrupted,  // by a signal, before a byte was transferred
  kMisaligned,   // direct only: the system does not take this address, offset or length
  kFailed,       // `code` says why
};

struct IoResult {
  std::size_t bytes = 0;
  IoEnd end = IoEnd::kDone;
  int code = 0;
};

// Offsets of files are signed on every system: no byte is beyond this one.
inline constexpr std::uint64_t kLastOffset = std::numeric_limits<std::int64_t>::max();

// One system call each, on at most kMostPieces pieces that lie one after the other in the file and
// end at kLastOffset or before.
inline constexpr std::size_t kMostPieces = 64;
[[nodiscard]] IoResult read_at(FileHandle handle, std::span<const Piece> pieces,
                               std::uint64_t offset) noexcept;
[[nodiscard]] IoResult write_at(FileHandle handle, std::span<const Piece> pieces,
                                std::uint64_t offset) noexcept;

// Waits until what was written is on the device. `code` as IoResult's, 0 if it worked; EINTR: a
// signal came first, call it again.
[[nodiscard]] int sync_data(FileHandle handle) noexcept;
// 0, or why the system could not keep what was written.
int close_handle(FileHandle handle) noexcept;

}  // namespace numapool::platform
