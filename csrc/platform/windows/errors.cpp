// Windows' errors in the terms of the core: a cause, errno's nearest number, the system's words.
#include <cerrno>
#include <utility>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {
namespace {

Cause cause_of(DWORD error) noexcept {
  switch (error) {
    case ERROR_CALL_NOT_IMPLEMENTED:
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION:
    case ERROR_PROC_NOT_FOUND:
      return Cause::kUnsupported;
    case ERROR_ACCESS_DENIED:
    case ERROR_PRIVILEGE_NOT_HELD:
    case ERROR_NOT_ALL_ASSIGNED:
      return Cause::kRefused;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_COMMITMENT_MINIMUM:
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_NOT_ENOUGH_QUOTA:
      return Cause::kNoMemory;
    case ERROR_INVALID_PARAMETER:
      return Cause::kInvalid;
    default:
      return Cause::kOther;
  }
}

}  // namespace

int errno_of(DWORD error) noexcept {
  switch (error) {
    case ERROR_SUCCESS:
      return 0;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
      return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_WRITE_PROTECT:
      return EACCES;
    case ERROR_PRIVILEGE_NOT_HELD:
    case ERROR_NOT_ALL_ASSIGNED:
      return EPERM;
    case ERROR_INVALID_HANDLE:
      return EBADF;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
      return EEXIST;
    case ERROR_TOO_MANY_OPEN_FILES:
      return EMFILE;
    case ERROR_FILENAME_EXCED_RANGE:
      return ENAMETOOLONG;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
      return ENOSPC;
    case ERROR_INVALID_PARAMETER:
      return EINVAL;
    case ERROR_CALL_NOT_IMPLEMENTED:
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION:
    case ERROR_PROC_NOT_FOUND:
      return ENOSYS;
    case ERROR_BUSY:
      return EBUSY;
    case ERROR_BROKEN_PIPE:
      return EPIPE;
    default:
      return cause_of(error) == Cause::kNoMemory ? ENOMEM : EIO;
  }
}

std::string error_text(DWORD error) {
  std::string text = "Windows error " + std::to_string(error);
  wchar_t words[512];
  DWORD length = ::FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS,
                                  nullptr, error, 0, words, 511, nullptr);
  while (length != 0 && (words[length - 1] <= L' ' || words[length - 1] == L'.')) --length;
  words[length] = L'\0';
  return length == 0 ? text : text + ": " + to_utf8(words);
}

Failure failed(const char* call, DWORD error, const std::string& detail) {
  const std::string text = error_text(error);
  return {cause_of(error), call, errno_of(error), detail.empty() ? text : detail + "; " + text};
}

Failure no_such(const char* job, std::string why) {
  return {Cause::kUnsupported, job, 0, std::move(why)};
}

std::string to_utf8(const wchar_t* text) {
  const int size = ::WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
  if (size <= 1) return {};
  std::string out(static_cast<std::size_t>(size), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text, -1, out.data(), size, nullptr, nullptr);
  out.pop_back();
  return out;
}

std::wstring to_wide(const std::string& text) {
  const int size = ::MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, nullptr, 0);
  if (size <= 1) return {};
  std::wstring out(static_cast<std::size_t>(size), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, out.data(), size);
  out.pop_back();
  return out;
}

}  // namespace numapool::platform::windows
