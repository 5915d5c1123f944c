// What an operating system must provide to notice memory pressure: looks at its sources, and one
// wait that those can end that wake by themselves.
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
};
inline constexpr int kPressureSources = 8;

// A source, and how it is watched or why it is not.
struct SourceState {
  PressureSource source = PressureSource::kMachine;
  bool active = false;
  bool wakes = false;  // ends a wait by itself; else it is looked at now and then
  std::string path;
  std::string detail;
};

// Time in which some or all runnable tasks waited for memory, since some time in the past.
struct StallTotals {
  PressureSource source = PressureSource::kStall;
  std::uint64_t some_us = 0;
  std::uint64_t full_us = 0;
};

// Memory that can be had without swapping, of so much.
struct Supply {
  std::uint64_t available_bytes = 0;
  std::uint64_t total_bytes = 0;
};

struct NodeSupply {
  int node_id = 0;
  Supply supply;
  std::uint64_t free_bytes = 0;
  std::uint64_t reserve_bytes = 0;  // the kernel's high watermarks and protections: not available
};

// The cgroup, of this process's and its ancestors, with the least room below its limit.
struct CgroupSupply {
  std::uint64_t limit_bytes = 0;
  std::uint64_t needed_bytes = 0;  // charged, file cache left out; may be over the limit
};

struct PressureLook {
  std::optional<StallTotals> stall;
  std::optional<Supply> machine;
  std::vector<NodeSupply> nodes;  // those with memory
  std::optional<CgroupSupply> cgroup;
  std::optional<std::uint64_t> balloon_bytes;
  std::optional<std::uint64_t> balloon_target_bytes;  // what the host wants in it, where it shows
  std::uint32_t notices = 0;  // bit of each source that gave notice by itself since the last look
  bool near_the_killer = false;  // the cgroup came to its hard limit since the last look
};

// Thresholds for those sources that wake: of `window_us`, the stall that is worth a look.
struct WatchRequest {
  std::uint32_t sources = 0;  // bits; 0: whatever there is
  // $MEMORY_PRESSURE_WATCH and _WRITE as they were when the caller could safely look: the
  // environment may change while the watch's thread runs. Empty: not set.
  std::string service_watch;
  std::string service_write;
  std::uint32_t wake_stall_us = 0;
  std::uint32_t window_us = 0;
};

// One thread waits and looks; ring() is for all.
class PressureWatch {
 public:
  PressureWatch() = default;
  virtual ~PressureWatch() = default;
  PressureWatch(const PressureWatch&) = delete;
  PressureWatch& operator=(const PressureWatch&) = delete;

  // Until a source wakes, ring() is called, or the time is over. True where a source gave notice of
  // pressure by itself: look() tells which.
  virtual bool wait(std::uint32_t timeout_ms) noexcept = 0;
  virtual void ring() noexcept = 0;

  // Everything. Sources that died meanwhile, or came back, are found here.
  [[nodiscard]] virtual PressureLook look() = 0;
  // The stall alone, a few microseconds.
  [[nodiscard]] virtual std::optional<StallTotals> look_at_stall() = 0;
  // Whether a stall ends a wait within its window.
  [[nodiscard]] virtual bool stall_wakes() const noexcept = 0;
  // Thread-safe.
  [[nodiscard]] virtual std::vector<SourceState> sources() const = 0;
};

// kUnsupported where the system tells nothing of memory pressure.
Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest& request);

[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

// Tells a waiter that owns an event loop, such as Python, that there is something to fetch:
// descriptor() becomes readable. Where a program closed the descriptor and opened another file
// under its number, that file is left alone: the bell is silent then.
class Bell {
 public:
  Bell();  // descriptor() is -1 where there is none left
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  void ring() const noexcept;
  void quiet() const noexcept;

 private:
  int descriptor_ = -1;
  std::array<std::uint64_t, 3> identity_{};  // of what was opened, where the system can tell
};

}  // namespace numapool::platform
