// What Python calls the causes of a lesser placement: PlacementWarning is issued once for each.
#pragma once

#include "numapool/allocator.hpp"

namespace numapool::bindings {

[[nodiscard]] inline const char* cause_name(Degradation::Cause cause) noexcept {
  return cause == Degradation::Cause::kPolicyRefused ? "policy_refused" : "not_verified";
}

}  // namespace numapool::bindings
