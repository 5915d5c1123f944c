// Turns errno into the contract's Failure, in one place.
#pragma once

#include <cerrno>
#include <string>
#include <utility>

#include "platform/result.hpp"

namespace numapool::platform {

[[nodiscard]] inline Cause cause_of(int code) noexcept {
  switch (code) {
    case ENOSYS:
    case EOPNOTSUPP:
      return Cause::kUnsupported;
    case EPERM:
    case EACCES:
      return Cause::kRefused;
    case ENOMEM:
      return Cause::kNoMemory;
    case EINVAL:
      return Cause::kInvalid;
    case EIO:
      return Cause::kPartial;
    default:
      return Cause::kOther;
  }
}

[[nodiscard]] inline Failure failed(const char* call, int code, std::string detail = {}) {
  return Failure{cause_of(code), call, code, std::move(detail)};
}

}  // namespace numapool::platform
