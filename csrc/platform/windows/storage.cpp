// Files on Windows: opened twice where Windows lets transfers pass its cache, read and written at
// an offset with ReadFile and WriteFile.
#include "platform/storage.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "platform/memory.hpp"
#include "platform/windows/api.hpp"
// After windows.h, which it does not include.
#include <winioctl.h>

namespace numapool::platform {
namespace {

using windows::Handle;

constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr std::size_t kMostTransfer = std::size_t{1} << 30;  // lengths are 32 bits

HANDLE handle_of(FileHandle handle) noexcept { return reinterpret_cast<HANDLE>(handle); }

FileHandle number_of(HANDLE handle) noexcept { return reinterpret_cast<FileHandle>(handle); }

DWORD disposition(const FileRequest& request) noexcept {
  if (!request.write) return OPEN_EXISTING;
  if (request.create) return request.truncate ? CREATE_ALWAYS : OPEN_ALWAYS;
  return request.truncate ? TRUNCATE_EXISTING : OPEN_EXISTING;
}

bool is_folder(const std::wstring& path) noexcept {
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

std::uint64_t size_of(HANDLE file) noexcept {
  LARGE_INTEGER size{};
  if (::GetFileSizeEx(file, &size) != FALSE) return static_cast<std::uint64_t>(size.QuadPart);
  GET_LENGTH_INFORMATION disk{};  // a volume or disk
  DWORD got = 0;
  if (::DeviceIoControl(file, IOCTL_DISK_GET_LENGTH_INFO, nullptr, 0, &disk, sizeof disk, &got,
                        nullptr) == FALSE) {
    return 0;
  }
  return static_cast<std::uint64_t>(disk.Length.QuadPart);
}

// The physical sector, which is at least the logical one; a page where Windows does not tell.
std::size_t sector_of(HANDLE file) noexcept {
  FILE_STORAGE_INFO facts{};
  if (::GetFileInformationByHandleEx(file, FileStorageInfo, &facts, sizeof facts) != FALSE &&
      std::has_single_bit(facts.FileSystemEffectivePhysicalBytesPerSectorForAtomicity)) {
    return std::max<std::size_t>(facts.FileSystemEffectivePhysicalBytesPerSectorForAtomicity, 512);
  }
  return base_page_bytes();
}

bool same_file(HANDLE a, HANDLE b) noexcept {
  BY_HANDLE_FILE_INFORMATION first{};
  BY_HANDLE_FILE_INFORMATION second{};
  return ::GetFileInformationByHandle(a, &first) != FALSE &&
         ::GetFileInformationByHandle(b, &second) != FALSE &&
         first.dwVolumeSerialNumber == second.dwVolumeSerialNumber &&
         first.nFileIndexHigh == second.nFileIndexHigh &&
         first.nFileIndexLow == second.nFileIndexLow;
}

// A second handle, as on Linux: unaligned ends go through the cache meanwhile.
void open_direct(const std::wstring& path, DWORD access, HANDLE file, OpenedFile& opened) {
  Handle direct(::CreateFileW(path.c_str(), access, kShareAll, nullptr, OPEN_EXISTING,
                              FILE_ATTRIBUTE_NORMAL | FILE_FLAG_NO_BUFFERING, nullptr));
  if (!direct.ok()) {
    opened.why_not_direct =
        describe(windows::failed("CreateFile(FILE_FLAG_NO_BUFFERING)", ::GetLastError()));
    return;
  }
  if (!same_file(file, direct.get())) {
    opened.why_not_direct = "another file took its place meanwhile";
    return;
  }
  const std::size_t sector = sector_of(direct.get());
  opened.memory_align = sector;
  opened.transfer_align = sector;
  opened.direct_handle = number_of(direct.release());
}

using Call = BOOL(WINAPI*)(HANDLE, void*, DWORD, DWORD*, OVERLAPPED*);

BOOL WINAPI write_file(HANDLE file, void* bytes, DWORD length, DWORD* got, OVERLAPPED* where) {
  return ::WriteFile(file, bytes, length, got, where);
}

// Windows' calls on several pieces take pages alone: one call for each, until one comes up short.
IoResult transfer(Call call, FileHandle handle, std::span<const Piece> pieces,
                  std::uint64_t offset) noexcept {
  IoResult out;
  for (const Piece& piece : pieces.first(std::min(pieces.size(), kMostPieces))) {
    const auto length = static_cast<DWORD>(std::min(piece.length, kMostTransfer));
    const std::uint64_t at = offset + out.bytes;
    OVERLAPPED where{};
    where.Offset = static_cast<DWORD>(at);
    where.OffsetHigh = static_cast<DWORD>(at >> 32);
    DWORD got = 0;
    if (call(handle_of(handle), piece.address, length, &got, &where) == FALSE) {
      const DWORD error = ::GetLastError();
      if (error == ERROR_HANDLE_EOF || out.bytes != 0) return out;
      out.code = windows::errno_of(error);
      out.end = error == ERROR_INVALID_PARAMETER ? IoEnd::kMisaligned : IoEnd::kFailed;
      return out;
    }
    out.bytes += got;
    if (got < piece.length) return out;
  }
  return out;
}

}  // namespace

Result<OpenedFile> open_file(const std::string& path, const FileRequest& request) {
  const std::wstring wide = windows::to_wide(path);
  if (is_folder(wide)) return Failure{Cause::kOther, "CreateFile", EISDIR, {}};
  // A pipe that is opened is taken from the one that it is meant for.
  if (path.starts_with("\\\\.\\pipe\\")) return Failure{Cause::kOther, "CreateFile", ESPIPE, {}};
  const DWORD access = request.write ? GENERIC_WRITE : GENERIC_READ;
  Handle file(::CreateFileW(wide.c_str(), access, kShareAll, nullptr, disposition(request),
                            FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.ok()) {
    Failure failure = windows::failed("CreateFile", ::GetLastError());
    return failure;
  }
  if (::GetFileType(file.get()) != FILE_TYPE_DISK)
    return Failure{Cause::kOther, "CreateFile", ESPIPE, {}};
  OpenedFile opened;
  opened.size_bytes = size_of(file.get());
  if (request.direct) {
    open_direct(wide, access, file.get(), opened);
  } else {
    opened.why_not_direct = "the caller asked for the page cache";
  }
  opened.handle = number_of(file.release());
  return opened;
}

IoResult read_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(&::ReadFile, handle, pieces, offset);
}

IoResult write_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(&write_file, handle, pieces, offset);
}

int sync_data(FileHandle handle) noexcept {
  return ::FlushFileBuffers(handle_of(handle)) != FALSE ? 0 : windows::errno_of(::GetLastError());
}

int close_handle(FileHandle handle) noexcept {
  return ::CloseHandle(handle_of(handle)) != FALSE ? 0 : windows::errno_of(::GetLastError());
}

}  // namespace numapool::platform
