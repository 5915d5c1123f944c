// The process of the scripted machine: its clock, its forks, and its count of moved pages.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace numapool::platform::fake {

struct ForkHandlers {
  void (*before)() = nullptr;
  void (*in_parent)() = nullptr;
  void (*in_child)() = nullptr;
};

struct ProcessScript {
  std::atomic<std::uint64_t> now_ms{0};
  std::atomic<std::uint64_t> page_moves{0};
  // In the order of registration. An array, so that registering needs no memory.
  std::array<ForkHandlers, 16> on_fork;
  std::size_t fork_handlers = 0;

  // A test plays a fork by calling the first and one of the others.
  void before_fork() const {
    for (std::size_t i = fork_handlers; i > 0; --i) on_fork[i - 1].before();
  }
  void in_parent() const {
    for (const ForkHandlers& one : std::span(on_fork).first(fork_handlers)) one.in_parent();
  }
  void in_child() const {
    for (const ForkHandlers& one : std::span(on_fork).first(fork_handlers)) one.in_child();
  }
};

[[nodiscard]] ProcessScript& process_script();

}  // namespace numapool::platform::fake
