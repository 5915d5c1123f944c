// Calls of the platform for places that must not throw: where memory is given back.
#pragma once

#include <new>

#include "platform/result.hpp"

namespace numapool {

// Whether the call succeeded. If memory for its error message ran out, it counts as failed.
template <class Call>
[[nodiscard]] bool succeeds(const Call& call) noexcept {
  try {
    const platform::Status status = call();
    return status.ok();
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace numapool
