// All sources of memory pressure on Linux, and the poll(2) that waits for those that wake.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/host/balloon_meter.hpp"
#include "platform/linux/pressure/cgroup_pressure.hpp"
#include "platform/linux/pressure/psi.hpp"
#include "platform/linux/pressure/systemd_pressure.hpp"
#include "platform/linux/pressure/watermarks.hpp"
#include "platform/locks.hpp"
#include "platform/pressure.hpp"

namespace numapool::platform {

class LinuxPressureWatch final : public PressureWatch {
 public:
  explicit LinuxPressureWatch(const WatchRequest& request);
  ~LinuxPressureWatch() override;

  bool wait(std::uint32_t timeout_ms) noexcept override;
  void ring() noexcept override;
  [[nodiscard]] PressureLook look() override;
  [[nodiscard]] std::optional<StallTotals> look_at_stall() override;
  [[nodiscard]] bool stall_wakes() const noexcept override { return psi_.armed(); }
  [[nodiscard]] std::vector<SourceState> sources() const override;
  [[nodiscard]] bool can_wait() const noexcept { return bell_.held(); }

 private:
  [[nodiscard]] bool wants(PressureSource source) const noexcept;
  void state(PressureSource source, bool active, bool wakes, std::string path, std::string detail);
  void open_all();
  void open_stall(const std::string& v2_folder);
  bool try_stall(PressureSource source, const std::string& path);
  void open_cgroup();
  void open_limits(const std::string& folder, int version, std::vector<CgroupLimits> levels);
  void open_notices(const std::string& folder, int version);
  void open_systemd();
  void open_machine();
  void follow_cgroup(std::uint64_t now_ns);
  void retry(std::uint64_t now_ns);
  void take_notices() noexcept;
  void note(PressureSource source) noexcept;

  [[nodiscard]] bool lost_any() noexcept;

  // Touched by the one thread that waits and looks, but for what the mutex guards.
  WatchRequest request_;
  PsiFile psi_;
  PressureSource stall_source_ = PressureSource::kStall;
  bool stall_lost_ = false;
  CgroupCounters counters_;
  CgroupNotices notices_;
  std::vector<CgroupLimits> levels_;
  SystemdPressure systemd_;
  NodeSupplies nodes_;
  KeptFile meminfo_{"/proc/meminfo"};
  BalloonMeter balloon_;
  KeptFile self_cgroup_{"/proc/self/cgroup"};
  std::string cgroup_text_;
  std::string v2_folder_;
  bool cgroup_unknown_ = false;  // which cgroup this is could not be read
  bool cgroup_lost_ = false;     // it was removed
  std::uint64_t followed_ns_ = 0;
  std::uint64_t retried_ns_ = 0;
  std::uint64_t retry_after_ns_ = 0;
  std::uint32_t pending_notices_ = 0;
  bool near_the_killer_ = false;

  mutable Mutex mutex_{LockRank::kPressureWatch};
  KeptDescriptor bell_;  // a wake pipe
  std::vector<SourceState> states_;
};

}  // namespace numapool::platform
