// The home of each thread, and of the process.
#include "numapool/home.hpp"

#include <atomic>
#include <utility>

namespace numapool {
namespace {

thread_local int home = kNoHome;
std::atomic<int> process_home{kNoHome};

}  // namespace

int set_home_node(int node) noexcept { return std::exchange(home, node); }

void set_process_home_node(int node) noexcept {
  process_home.store(node, std::memory_order_relaxed);
}

int home_node() noexcept {
  return home != kNoHome ? home : process_home.load(std::memory_order_relaxed);
}

}  // namespace numapool
