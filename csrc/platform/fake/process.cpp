// The scripted machine's process: its clock stands still until a test moves it.
#include "platform/process.hpp"

#include <mutex>

#include "platform/fake/process_script.hpp"

namespace numapool::platform {

fake::ProcessScript& fake::process_script() {
  static ProcessScript script;
  return script;
}

std::uint64_t coarse_ms() noexcept { return fake::process_script().now_ms.load(); }

bool on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  fake::ProcessScript& script = fake::process_script();
  if (script.fork_handlers == script.on_fork.size()) return false;
  script.on_fork[script.fork_handlers++] = {before, in_parent, in_child};
  return true;
}

std::uint64_t page_moves() noexcept { return fake::process_script().page_moves.load(); }

}  // namespace numapool::platform
