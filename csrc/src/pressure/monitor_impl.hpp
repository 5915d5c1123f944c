// The monitor's thread, and the state that it shares with its callers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "numapool/pressure.hpp"
#include "pressure/default_supply.hpp"
#include "pressure/pressure_judge.hpp"

namespace numapool {

class MonitorImpl final : public Monitor, private platform::ForkOwner {
 public:
  MonitorImpl(const PressurePolicy& policy, PressureSources sources)
      : policy_(policy), wanted_(std::move(sources)) {
    control_mutex_.tell_of_forks(*this);
  }
  ~MonitorImpl() override;

  void start() override;
  void stop() noexcept override;
  bool running() const noexcept override { return running_.load(std::memory_order_relaxed); }
  bool ran_in_parent() const noexcept override { return ran_in_parent_; }
  void attach(Pool& pool, std::uint64_t floor_bytes, double weight) override;
  bool detach(Pool& pool) noexcept override;
  void subscribe(std::shared_ptr<EventQueue> queue) override;
  bool rehearse(PressureLevel level, std::uint64_t demand_bytes,
                std::optional<int> node_id) override;
  PressureLevel level() const noexcept override {
    return std::max(level_.load(std::memory_order_relaxed),
                    rehearsed_.load(std::memory_order_relaxed));
  }
  std::vector<platform::SourceState> sources() const override;
  MonitorStatistics statistics() const override;
  std::optional<platform::PressureLook> last_look() const override;

 private:
  struct Attached {
    Pool* pool = nullptr;  // pinned
    std::uint64_t floor_bytes = 0;
    double weight = 1;
  };

  void after_fork_in_child() noexcept override;
  void drop_watch() noexcept;
  void run() noexcept;
  void look_and_act(PressureJudge& judge);
  void play_rehearsals();
  [[nodiscard]] bool retains_on(int node) noexcept;
  std::uint64_t trim_for(const PressureEvent& event, std::uint64_t wanted,
                         const NodesByUse& nodes) noexcept;
  std::uint64_t trim(std::uint64_t wanted, std::optional<int> node) noexcept;
  void drop_closed_pools() noexcept;
  // `trimmed_bytes`: of the event's, those that count for no other one.
  void count(const PressureEvent& event, std::uint64_t trimmed_bytes) noexcept;
  void post(const PressureEvent& event) noexcept;

  const PressurePolicy policy_;
  const PressureSources wanted_;

  // control_mutex_: start and stop, one at a time. trim_mutex_ is held while the thread trims, and
  // guards attached_. state_mutex_ guards queues_, statistics_, last_look_, rehearsals_, the
  // pointer watch_.
  platform::Mutex control_mutex_{platform::LockRank::kMonitorControl};
  platform::Mutex trim_mutex_{platform::LockRank::kMonitorTrim};
  mutable platform::Mutex state_mutex_{platform::LockRank::kMonitorState};
  std::vector<Attached> attached_;
  std::vector<std::shared_ptr<EventQueue>> queues_;
  MonitorStatistics statistics_;
  std::optional<platform::PressureLook> last_look_;
  std::vector<PressureEvent> rehearsals_;  // that the thread has not played yet
  std::shared_ptr<platform::PressureWatch> watch_;
  std::thread thread_;
  std::atomic<bool> ends_{false};
  std::atomic<bool> running_{false};
  std::atomic<bool> ran_in_parent_{false};
  std::atomic<PressureLevel> level_{PressureLevel::kNone};
  std::atomic<PressureLevel> rehearsed_{PressureLevel::kNone};
};

}  // namespace numapool
