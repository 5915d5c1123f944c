// A thread that watches memory pressure, trims the attached pools, and notifies its subscribers.
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

// When there is pressure, and how much memory is then asked for.
// python/numapool/pressure/policy.py, which users read, has the sources of the defaults.
struct PressurePolicy {
  std::uint64_t window_us = 500'000;
  std::uint64_t moderate_some_us = 35'000;   // share of the window
  std::uint64_t critical_full_us = 250'000;  // share of the window
  // Bytes to keep available; empty: a share of the machine, of the cgroup's limit, or of the node.
  std::optional<std::uint64_t> margin_bytes;
  std::optional<std::uint64_t> cgroup_margin_bytes;
  std::optional<std::uint64_t> node_margin_bytes;
  double critical_share = 0.25;  // share of a margin: less available memory than this is critical
  double hysteresis = 0.1;       // share of a margin: this much more ends the deficit
  std::uint64_t step_bytes = std::uint64_t{32} << 20;
  std::uint32_t cooldown_ms = 250;
  std::uint32_t relief_ms = 2000;
  std::uint32_t poll_ms = 100;
};

// What a monitor watches: a bit mask of sources (0: all available ones), and what the service
// manager set up for this process (platform::WatchRequest).
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
  std::uint64_t stall_us = 0;   // stall in the last window
  std::uint64_t origin_ns = 0;  // its beginning, on the monotonic clock
};

// Events that one subscriber has not fetched yet. Thread-safe. When full, it drops the oldest.
class EventQueue {
 public:
  static constexpr std::size_t kMost = 1024;

  void post(const PressureEvent& event) noexcept;
  [[nodiscard]] std::vector<PressureEvent> take();
  void close() noexcept;  // wakes the subscriber; no more events are posted
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
  // Upper bounds in milliseconds; the last bucket has no bound.
  static constexpr std::array<std::uint32_t, 12> kBounds{1,   2,   5,   10,   20,   50,
                                                         100, 200, 500, 1000, 2000, 5000};
  std::array<std::uint64_t, platform::kPressureSources + 1> events{};  // rehearsals are the last
  // From the beginning of pressure until memory is freed.
  std::array<std::uint64_t, kBounds.size() + 1> reactions{};
  std::uint64_t reaction_sum_us = 0;
  std::uint64_t trimmed_bytes = 0;
  std::uint64_t looks = 0;
  std::uint64_t dropped_events = 0;
};

// All of it is thread-safe. All calls are quick except stop() and detach(), which wait for a
// running trim. Never calls Python.
class Monitor {
 public:
  [[nodiscard]] static std::unique_ptr<Monitor> make(const PressurePolicy& policy,
                                                     PressureSources sources);
  virtual ~Monitor() = default;

  // Throws Error(kUnsupported, kSystem) if nothing can be watched. Starting a running monitor does
  // nothing.
  virtual void start() = 0;
  // Joins the thread. A stopped monitor can be started again.
  virtual void stop() noexcept = 0;
  [[nodiscard]] virtual bool running() const noexcept = 0;
  // In a forked child, where no monitor runs: whether it ran in the parent at the time of the fork.
  [[nodiscard]] virtual bool ran_in_parent() const noexcept = 0;

  // Under pressure, trims `pool` down to `floor_bytes` retained at least. Pins the pool. Attaching
  // it again replaces both values.
  virtual void attach(Pool& pool, std::uint64_t floor_bytes, double weight) = 0;
  // After this call, no trim touches the pool. Returns false if it was not attached.
  virtual bool detach(Pool& pool) noexcept = 0;
  // The queue receives events until it is closed.
  virtual void subscribe(std::shared_ptr<EventQueue> queue) = 0;
  // Has the thread trim and tell as if a source had given evidence; level() says so until a
  // rehearsal of kNone. The event's source is kRehearsal. False if the monitor does not run.
  virtual bool rehearse(PressureLevel level, std::uint64_t demand_bytes,
                        std::optional<int> node_id) = 0;

  [[nodiscard]] virtual PressureLevel level() const noexcept = 0;
  // Empty before the first start, when it is not known yet what can be watched.
  [[nodiscard]] virtual std::vector<platform::SourceState> sources() const = 0;
  [[nodiscard]] virtual MonitorStatistics statistics() const = 0;
  // The thread's last look, up to a second old when memory use is calm. Empty before the first
  // look.
  [[nodiscard]] virtual std::optional<platform::PressureLook> last_look() const = 0;
};

}  // namespace numapool
