// Memory pressure on Windows: the two memory resource notifications wake, GlobalMemoryStatusEx and
// the job's limits tell how much.
#include "platform/pressure.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "platform/topology.hpp"
#include "platform/windows/api.hpp"
#include "platform/windows/job.hpp"
#include "platform/windows/nodes.hpp"

namespace numapool::platform {
namespace {

using windows::api;
using windows::Handle;

constexpr std::uint32_t bit_of(PressureSource source) noexcept {
  return std::uint32_t{1} << static_cast<unsigned>(source);
}

struct Absent {
  PressureSource source;
  const char* why;
};
constexpr std::array kAbsent{
    Absent{PressureSource::kCgroupStall, "Windows measures no stalls"},
    Absent{PressureSource::kStall, "Windows measures no stalls"},
    Absent{PressureSource::kCgroupNotice, "Linux's cgroups are not on Windows"},
    Absent{PressureSource::kSystemd, "systemd is not on Windows"},
    Absent{PressureSource::kBalloon, "Windows does not tell what a balloon holds"},
};

class WindowsPressureWatch final : public PressureWatch {
 public:
  explicit WindowsPressureWatch(const WatchRequest& request)
      : sources_(request.sources),
        ring_(api().CreateEventW(nullptr, FALSE, FALSE, nullptr)),
        low_(api().CreateMemoryResourceNotification(LowMemoryResourceNotification)),
        high_(api().CreateMemoryResourceNotification(HighMemoryResourceNotification)) {
    if (!low_.ok()) low_error_ = windows::error_text(::GetLastError());
    if (wants(PressureSource::kNodes)) read_nodes();
    tell_sources();
  }

  [[nodiscard]] bool can_wait() const noexcept { return ring_.ok(); }

  // On Low until it comes, then on High until memory is plenty again: Low stays signalled as long
  // as memory is low, and must not end every wait meanwhile.
  bool wait(std::uint32_t timeout_ms) noexcept override {
    if (low_told_ && !is_low()) low_told_ = false;
    const Handle& notice = low_told_ ? high_ : low_;
    const bool watched = wants(PressureSource::kMachine) && notice.ok();
    const std::array<HANDLE, 2> handles{ring_.get(), notice.get()};
    const DWORD woken =
        api().WaitForMultipleObjects(watched ? 2 : 1, handles.data(), FALSE, timeout_ms);
    // A wait that fails must not become a loop that spins.
    if (woken == WAIT_FAILED) ::Sleep(std::min<DWORD>(timeout_ms, 1000));
    if (woken != WAIT_OBJECT_0 + 1) return false;
    low_told_ = !low_told_;
    return low_told_;
  }

  void ring() noexcept override { ::SetEvent(ring_.get()); }

  PressureLook look() override {
    PressureLook out;
    if (wants(PressureSource::kMachine)) {
      look_at_machine(out);
      if (is_low()) out.notices |= bit_of(PressureSource::kMachine);
    }
    if (wants(PressureSource::kCgroup)) {
      if (const auto job = windows::job_room())
        out.cgroup = CgroupSupply{job->limit_bytes, job->used_bytes};
    }
    for (const NodeSupply& known : nodes_) {
      const auto free = windows::free_bytes_of(known.node_id);
      if (!free) continue;
      NodeSupply node = known;
      node.free_bytes = free.value();
      node.supply.available_bytes = free.value();
      out.nodes.push_back(node);
    }
    return out;
  }

  std::optional<StallTotals> look_at_stall() override { return std::nullopt; }
  bool stall_wakes() const noexcept override { return false; }

  std::vector<SourceState> sources() const override {
    const std::lock_guard guard(mutex_);
    return states_;
  }

 private:
  [[nodiscard]] bool wants(PressureSource source) const noexcept {
    return sources_ == 0 || (sources_ & bit_of(source)) != 0;
  }

  [[nodiscard]] bool is_low() const noexcept {
    BOOL low = FALSE;
    return low_.ok() && api().QueryMemoryResourceNotification(low_.get(), &low) != FALSE &&
           low != FALSE;
  }

  static void look_at_machine(PressureLook& out) noexcept {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (api().GlobalMemoryStatusEx(&status) == FALSE) return;
    // Memory that cannot be committed cannot be used, however much is free.
    out.machine =
        Supply{std::min(status.ullAvailPhys, status.ullAvailPageFile), status.ullTotalPhys};
  }

  // Those with memory whose free bytes Windows tells.
  void read_nodes() {
    const auto record = read_topology("/");
    if (!record) return;
    for (const NodeRecord& node : record.value().nodes) {
      if (node.total_memory_bytes == 0 || !windows::free_bytes_of(node.node_id)) continue;
      NodeSupply one;
      one.node_id = node.node_id;
      one.supply.total_bytes = node.total_memory_bytes.value_or(0);
      nodes_.push_back(one);
    }
  }

  void tell_sources() {
    const std::lock_guard guard(mutex_);
    const auto add = [&](PressureSource source, bool active, bool wakes, std::string path,
                         std::string detail) {
      if (wants(source))
        states_.push_back({source, active, wakes, std::move(path), std::move(detail)});
    };
    for (const Absent& absent : kAbsent) add(absent.source, false, false, {}, absent.why);
    const auto job = windows::job_room();
    add(PressureSource::kCgroup, job.has_value(), false, "QueryInformationJobObject",
        job ? job->name : "no memory limit of a job holds for this process");
    add(PressureSource::kNodes, !nodes_.empty(), false, "GetNumaAvailableMemoryNodeEx",
        nodes_.empty() ? "Windows does not tell the free memory of nodes here" : "");
    add(PressureSource::kMachine, true, low_.ok(), "CreateMemoryResourceNotification",
        low_.ok() ? "" : "looked at now and then: " + low_error_);
    std::sort(states_.begin(), states_.end(),
              [](const SourceState& a, const SourceState& b) { return a.source < b.source; });
  }

  std::uint32_t sources_;
  Handle ring_;
  Handle low_;
  Handle high_;
  std::string low_error_;
  bool low_told_ = false;  // the waiting thread's
  std::vector<NodeSupply> nodes_;
  mutable std::mutex mutex_;  // leaf
  std::vector<SourceState> states_;
};

}  // namespace

Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest& request) {
  auto watch = std::make_unique<WindowsPressureWatch>(request);
  if (!watch->can_wait())
    return windows::failed("CreateEvent", ::GetLastError(), "to wake the monitor");
  return std::unique_ptr<PressureWatch>(std::move(watch));
}

}  // namespace numapool::platform
