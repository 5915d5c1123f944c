// A thread that watches memory pressure, trims the pools attached to it, and tells its subscribers.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "numapool/pool.hpp"
#include "platform/locks.hpp"
#include "platform/pressure.hpp"

namespace numapool {

enum class PressureLevel : std::uint8_t { kNone = 0, kModerate = 1, kCritical = 2 };

// When there is pressure, and how much is asked for. The defaults' sources are in
// python/numapool/pressure/monitor.py, which users read.
struct PressurePolicy {
  std::uint64_t window_us = 500'000;
  std::uint64_t moderate_some_us = 35'000;   // of the window
  std::uint64_t critical_full_us = 250'000;  // of the window
  // Bytes to keep available; nothing: a share of the machine, the cgroup's limit, the node.
  std::optional<std::uint64_t> margin_bytes;
  std::optional<std::uint64_t> cgroup_margin_bytes;
  std::optional<std::uint64_t> node_margin_bytes;
  double critical_share = 0.25;  // of a margin: less available than that is critical
  double hysteresis = 0.1;       // of a margin: so much more ends the deficit
  std::uint64_t step_bytes = std::uint64_t{32} << 20;
  std::uint32_t cooldown_ms = 250;
  std::uint32_t relief_ms = 2000;
  std::uint32_t poll_ms = 100;
};

// What a monitor is to watch: bits of sources (0: all there are), and what the service manager has
// set up for this process (platform::WatchRequest).
struct PressureSources {
  std::uint32_t bits = 0;
  std::string service_watch;
  std::string service_write;
};

struct PressureEvent {
  PressureLevel level = PressureLevel::kNone;
  std::uint64_t demand_bytes = 0;
  std::uint64_t trimmed_bytes = 0;
  std::optional<int> node_id;
  platform::PressureSource source = platform::PressureSource::kMachine;
  std::uint64_t stall_us = 0;   // of the last window
  std::uint64_t origin_ns = 0;  // when it began, on the monotonic clock
};

// What one subscriber has not fetched yet. Thread-safe. Full, it forgets the oldest.
class EventQueue {
 public:
  static constexpr std::size_t kMost = 1024;

  void post(const PressureEvent& event) noexcept;
  [[nodiscard]] std::vector<PressureEvent> take();
  void close() noexcept;  // rings; nothing is posted any more
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  [[nodiscard]] int descriptor() const noexcept { return bell_.descriptor(); }

 private:
  mutable platform::Mutex mutex_{platform::LockRank::kEventQueue};
  std::deque<PressureEvent> events_;
  std::uint64_t dropped_ = 0;
  bool closed_ = false;
  platform::Bell bell_;
};

struct MonitorStatistics {
  // Upper bounds in milliseconds; a last bucket takes the rest.
  static constexpr std::array<std::uint32_t, 12> kBounds{1,   2,   5,   10,   20,   50,
                                                         100, 200, 500, 1000, 2000, 5000};
  std::array<std::uint64_t, platform::kPressureSources> events{};
  std::array<std::uint64_t, kBounds.size() + 1> reactions{};  // begin of pressure to memory freed
  std::uint64_t reaction_sum_us = 0;
  std::uint64_t trimmed_bytes = 0;
  std::uint64_t looks = 0;
  std::uint64_t dropped_events = 0;
};

// Thread-safe, all of it. Every call is quick but stop() and detach(), which wait for a trim that
// runs. Never calls Python.
class Monitor {
 public:
  [[nodiscard]] static std::unique_ptr<Monitor> make(const PressurePolicy& policy,
                                                     PressureSources sources);
  virtual ~Monitor() = default;

  // Throws Error(kUnsupported, kSystem) where nothing can be watched. A second start does nothing.
  virtual void start() = 0;
  // Joins the thread. A stopped monitor may be started again.
  virtual void stop() noexcept = 0;
  [[nodiscard]] virtual bool running() const noexcept = 0;
  // In the child of a fork, whose monitors do not run: whether it ran when the process was forked.
  [[nodiscard]] virtual bool ran_in_parent() const noexcept = 0;

  // Trims `pool` under pressure, but never below `floor_bytes` retained. The pool is pinned. Again:
  // sets both anew.
  virtual void attach(Pool& pool, std::uint64_t floor_bytes, double weight) = 0;
  // After it no trim touches the pool. False if it was not attached.
  virtual bool detach(Pool& pool) noexcept = 0;
  // Until the queue is closed.
  virtual void subscribe(std::shared_ptr<EventQueue> queue) = 0;

  [[nodiscard]] virtual PressureLevel level() const noexcept = 0;
  // Before the first start: what would be watched is not known yet.
  [[nodiscard]] virtual std::vector<platform::SourceState> sources() const = 0;
  [[nodiscard]] virtual MonitorStatistics statistics() const = 0;
  // What the thread saw last: up to a second ago while nothing stirs. Nothing before its first
  // look.
  [[nodiscard]] virtual std::optional<platform::PressureLook> last_look() const = 0;
};

}  // namespace numapool
