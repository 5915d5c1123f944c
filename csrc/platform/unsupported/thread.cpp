// Threads where the system is unknown: they run where they run.
#include "platform/thread.hpp"

namespace numapool::platform {
namespace {

Failure unsupported(const char* job) { return {Cause::kUnsupported, job, 0, {}}; }

}  // namespace

int current_node() noexcept { return -1; }
int current_cpu() noexcept { return -1; }

NoSignals::NoSignals() noexcept = default;
NoSignals::~NoSignals() = default;

bool prepare_worker(std::span<const int> cpus) noexcept { return cpus.empty(); }

Result<ThreadPolicy> thread_policy() { return unsupported("thread_policy"); }

Status set_thread_policy(ThreadMode, std::span<const int>) {
  return unsupported("set_thread_policy");
}

Status restore_thread_policy(const ThreadPolicy&) { return unsupported("restore_thread_policy"); }

}  // namespace numapool::platform
