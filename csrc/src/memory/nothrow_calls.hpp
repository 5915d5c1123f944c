// Calls of the platform for places that must not throw: where memory is given back.
#pragma once

#include <new>

#include "platform/result.hpp"

namespace numapool {

// Whether the call did its job. One that failed, and found no memory for the words of its failure,
// did not.
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
