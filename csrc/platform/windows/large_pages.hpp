// Large pages, and the right that they take.
#pragma once

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {

// Switches the privilege on for this process. kRefused, with what an administrator must do, where
// the account does not have it.
Status require_large_pages();

}  // namespace numapool::platform::windows
