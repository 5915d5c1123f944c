// The scripted machine's threads: they run where the script says, and keep one policy each.
#include "platform/thread.hpp"

#include "platform/fake/memory_script.hpp"

namespace numapool::platform {
namespace {
thread_local ThreadPolicy policy;
}

int current_node() noexcept { return fake::memory_script().current_node; }
void prepare_worker(std::span<const int>) noexcept {}
Result<ThreadPolicy> thread_policy() { return policy; }
Status set_thread_policy(ThreadMode mode, std::span<const int> nodes) {
  policy = ThreadPolicy{mode, static_cast<int>(mode), std::vector<int>(nodes.begin(), nodes.end())};
  return Done{};
}
Status restore_thread_policy(const ThreadPolicy& saved) {
  policy = saved;
  return Done{};
}

}  // namespace numapool::platform
