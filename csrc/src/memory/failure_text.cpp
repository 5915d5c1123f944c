// Puts a platform failure into words.
#include <system_error>

#include "platform/result.hpp"

namespace numapool::platform {

std::string describe(const Failure& failure) {
  std::string text = failure.call;
  if (!failure.detail.empty()) text += "(" + failure.detail + ")";
  if (failure.code != 0) {
    text += ": " + std::generic_category().message(failure.code);
  } else if (failure.cause == Cause::kUnsupported) {
    text += ": not supported on this platform";
  }
  return text;
}

}  // namespace numapool::platform
