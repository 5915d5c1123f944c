// Forks: the child keeps blocks that are out, and has none of the threads.
#include "stream/stream_state.hpp"

namespace numapool {

// Blocks that were being read into are dropped, as their contents are undefined.
void StreamState::after_fork_in_child() noexcept {
  for (Slot& slot : slots_) {
    if (slot.use == Use::kReading) slot.use = Use::kFree;
  }
  free_window();
  threads_ = 0;
  stopped_ = true;
  orphaned_ = true;
}

}  // namespace numapool
