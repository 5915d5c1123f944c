// The process of the scripted machine: its clock, its forks, and its count of moved pages.
#pragma once

#include <atomic>
#include <cstdint>

namespace numapool::platform::fake {

struct ProcessScript {
  std::atomic<std::uint32_t> now_ms{0};
  std::atomic<std::uint64_t> page_moves{0};
  // What the core registered last: a test plays a fork by calling the first and the third.
  void (*before_fork)() = nullptr;
  void (*in_parent)() = nullptr;
  void (*in_child)() = nullptr;
};

[[nodiscard]] ProcessScript& process_script();

}  // namespace numapool::platform::fake
