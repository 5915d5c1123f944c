// What an operating system must provide to notice memory pressure: looks at its sources, and one
// wait that ends when a source sends a notice.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

enum class PressureSource : std::uint8_t {
  kCgroupStall,   // stall of this process's cgroup (PSI)
  kStall,         // stall of the machine (PSI)
  kCgroup,        // the limits of its cgroups, and their counted events
  kCgroupNotice,  // cgroup v1: memory.pressure_level
  kSystemd,       // $MEMORY_PRESSURE_WATCH
  kNodes,         // free memory of each node against the kernel's watermarks
  kBalloon,       // memory that the hypervisor has taken
  kMachine,       // available memory
  kRehearsal,     // a user who tries out what pressure does: no platform watches it
};
inline constexpr int kPressureSources = 8;  // those that a platform may watch

// A source, and how it is watched, or why it is not.
struct SourceState {
  PressureSource source = PressureSource::kMachine;
  bool active = false;
  bool wakes = false;  // ends a wait by itself; else it is polled
  std::string path;
  std::string detail;
};

// Time in which some or all runnable tasks waited for memory, counted from some time in the past.
struct StallTotals {
  PressureSource source = PressureSource::kStall;
  std::uint64_t some_us = 0;
  std::uint64_t full_us = 0;
};

// Available memory (without swapping) and total memory.
struct Supply {
  std::uint64_t available_bytes = 0;
  std::uint64_t total_bytes = 0;
};

struct NodeSupply {
  int node_id = 0;
  Supply supply;
  std::uint64_t free_bytes = 0;
  std::uint64_t reserve_bytes =
      0;  // below the kernel's high watermarks, or protected: not available
};

// Of this process's cgroup and its ancestors, the one with the least room below its limit.
struct CgroupSupply {
  std::uint64_t limit_bytes = 0;
  std::uint64_t needed_bytes = 0;  // charged memory without file cache; may exceed the limit
};

struct PressureLook {
  std::optional<StallTotals> stall;
  std::optional<Supply> machine;
  std::vector<NodeSupply> nodes;  // nodes with memory
  std::optional<CgroupSupply> cgroup;
  std::optional<std::uint64_t> balloon_bytes;
  std::optional<std::uint64_t> balloon_target_bytes;  // the size that the host wants, if known
  std::uint32_t notices = 0;     // bits of the sources that sent a notice since the last look
  bool near_the_killer = false;  // the cgroup reached its hard limit since the last look
};

// Thresholds for the sources that send notices: the stall within `window_us` that is worth a look.
struct WatchRequest {
  std::uint32_t sources = 0;  // bit mask; 0: all available sources
  // $MEMORY_PRESSURE_WATCH and _WRITE, read when the caller could do so safely: the environment may
  // change while the watch's thread runs. Empty: not set.
  std::string service_watch;
  std::string service_write;
  std::uint32_t wake_stall_us = 0;
  std::uint32_t window_us = 0;
};

// One thread waits and looks; any thread may call ring().
class PressureWatch {
 public:
  PressureWatch() = default;
  virtual ~PressureWatch() = default;
  PressureWatch(const PressureWatch&) = delete;
  PressureWatch& operator=(const PressureWatch&) = delete;

  // Waits until a source sends a notice, ring() is called, or the time is over. True if a source
  // sent a notice of pressure: look() tells which one.
  virtual bool wait(std::uint32_t timeout_ms) noexcept = 0;
  virtual void ring() noexcept = 0;

  // Looks at all sources. Also notices sources that disappeared or came back meanwhile.
  [[nodiscard]] virtual PressureLook look() = 0;
  // Looks at the stall alone, which takes a few microseconds.
  [[nodiscard]] virtual std::optional<StallTotals> look_at_stall() = 0;
  // Whether a stall ends a wait within its window.
  [[nodiscard]] virtual bool stall_wakes() const noexcept = 0;
  // Thread-safe.
  [[nodiscard]] virtual std::vector<SourceState> sources() const = 0;
};

// kUnsupported if the system tells nothing about memory pressure.
Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest& request);

[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

// Wakes a waiter that owns an event loop, such as Python: descriptor() becomes readable. If the
// program closed the descriptor and opened another file under its number, that file is left alone,
// and no more notices are sent.
class Bell {
 public:
  Bell();  // descriptor() is -1 if none is left
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  void ring() const noexcept;
  void quiet() const noexcept;

 private:
  int descriptor_ = -1;
  std::array<std::uint64_t, 3> identity_{};  // identity of the opened file, if the system tells it
};

}  // namespace numapool::platform
