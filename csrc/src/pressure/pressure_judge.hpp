// Decides from looks at the system whether there is pressure, and how much memory to release.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "numapool/pressure.hpp"
#include "pressure/stall_window.hpp"

namespace numapool {

// Not thread-safe, and without a clock: every decision follows from its input.
class PressureJudge {
 public:
  explicit PressureJudge(const PressurePolicy& policy) noexcept;

  // A look at the stall alone. Returns true if the rest should be looked at now.
  [[nodiscard]] bool note_stall(const platform::StallTotals& totals, std::uint64_t now_ns) noexcept;

  // The memory to release now, and pressure that is over (level kNone). Demands of nodes come
  // first.
  [[nodiscard]] std::vector<PressureEvent> judge(const platform::PressureLook& look,
                                                 std::uint64_t now_ns);
  // Reports that this much was released for the demands.
  void released(std::uint64_t bytes) noexcept;

  [[nodiscard]] PressureLevel level() const noexcept;

  // How long to wait for a source, and whether to look at everything then.
  struct Next {
    std::uint32_t wait_ms = 0;
    bool everything = false;
  };
  [[nodiscard]] Next next(bool stall_wakes, std::uint64_t now_ns) const noexcept;

 private:
  static constexpr int kMachine = -1;  // the key of demands that are not for one node

  // Pressure that is still going on, on the machine or a node.
  struct Cause {
    PressureEvent last;
    std::uint64_t origin_ns = 0;
    std::uint64_t seen_ns = 0;    // time of the last evidence
    std::uint64_t demand_ns = 0;  // time of the last demand
    std::uint64_t interval_ns = 0;
    std::uint64_t next_step = 0;
  };
  struct Deficit {
    std::uint64_t bytes = 0;
    bool critical = false;
  };

  [[nodiscard]] Deficit deficit(std::uint64_t available, std::uint64_t margin,
                                bool in_deficit) const noexcept;
  void follow_balloon(const platform::PressureLook& look, std::uint64_t now_ns) noexcept;
  void judge_machine(const platform::PressureLook& look, std::uint64_t now_ns,
                     std::vector<PressureEvent>& out);
  void judge_nodes(const platform::PressureLook& look, std::uint64_t now_ns,
                   std::vector<PressureEvent>& out);
  void demand(int key, PressureEvent event, bool is_step, std::uint64_t now_ns,
              std::vector<PressureEvent>& out);
  void relieve(std::uint64_t now_ns, std::vector<PressureEvent>& out);
  [[nodiscard]] bool stalled() const noexcept;

  PressurePolicy policy_;
  StallWindow stall_;
  std::map<int, Cause> causes_;
  std::map<int, bool> in_deficit_;  // of nodes; kMachine and below: see the .cpp
  std::optional<std::uint64_t> balloon_bytes_;
  std::uint64_t balloon_owed_ = 0;
  std::uint64_t balloon_credit_ = 0;  // released, but not taken yet
  bool balloon_ahead_ = false;
  std::uint64_t balloon_began_ns_ = 0;
  std::uint64_t balloon_grew_ns_ = 0;
  std::uint64_t looked_ns_ = 0;
  bool tight_ = false;  // less than two margins are available
};

}  // namespace numapool
