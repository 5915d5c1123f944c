// The process of the scripted machine: its clock, its forks, and its count of moved pages.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace numapool::platform::fake {

struct ForkHandlers {
  void (*before)() = nullptr;
  void (*in_parent)() = nullptr;
  void (*in_child)() = nullptr;
};

struct ProcessScript {
  std::atomic<std::uint32_t> now_ms{0};
  std::atomic<std::uint64_t> page_moves{0};
  std::vector<ForkHandlers> on_fork;  // in the order of their registration

  // A test plays a fork by calling the first and one of the others.
  void before_fork() const {
    for (auto one = on_fork.rbegin(); one != on_fork.rend(); ++one) one->before();
  }
  void in_parent() const {
    for (const ForkHandlers& one : on_fork) one.in_parent();
  }
  void in_child() const {
    for (const ForkHandlers& one : on_fork) one.in_child();
  }
};

[[nodiscard]] ProcessScript& process_script();

}  // namespace numapool::platform::fake
