// All sources of memory pressure on Linux: which there are, waiting and looking.
#include "platform/linux/pressure/pressure_watch.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/wake_pipe.hpp"
#include "platform/linux/memory/cgroup_place.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kFollowEvery = 1'000'000'000;  // ns
// Sources that are off are tried again, soon at first: most of them will never come.
constexpr std::uint64_t kRetrySoonest = 250'000'000;
constexpr std::uint64_t kRetryLatest = 32'000'000'000;
constexpr const char* kUnknownCgroup =
    "which cgroup this is cannot be read: /proc/self/cgroup, /proc/self/mountinfo; tried again";

constexpr std::uint32_t bit_of(PressureSource source) noexcept {
  return std::uint32_t{1} << static_cast<unsigned>(source);
}

// The folder of this process in the v2 hierarchy, whichever controllers it has; empty at its root,
// whose pressure is the machine's.
std::string v2_folder_of(const CgroupSearch& found) {
  return found.place && found.place->path != "/" ? found.place->folder() : std::string{};
}

std::string trigger_words(const WatchRequest& request) {
  return "wakes at " + std::to_string(request.wake_stall_us / 1000) + " ms of stall in " +
         std::to_string(request.window_us / 1000) + " ms";
}

}  // namespace

LinuxPressureWatch::LinuxPressureWatch(const WatchRequest& request)
    : request_(request), bell_(open_wake_pipe()) {
  open_all();
  retried_ns_ = monotonic_ns();
}

LinuxPressureWatch::~LinuxPressureWatch() = default;

bool LinuxPressureWatch::wants(PressureSource source) const noexcept {
  return request_.sources == 0 || (request_.sources & bit_of(source)) != 0;
}

void LinuxPressureWatch::state(PressureSource source, bool active, bool wakes, std::string path,
                               std::string detail) {
  const std::lock_guard guard(mutex_);
  std::erase_if(states_, [&](const SourceState& one) { return one.source == source; });
  states_.push_back({source, active, wakes, std::move(path), std::move(detail)});
  std::sort(states_.begin(), states_.end(),
            [](const SourceState& a, const SourceState& b) { return a.source < b.source; });
}

std::vector<SourceState> LinuxPressureWatch::sources() const {
  const std::lock_guard guard(mutex_);
  return states_;
}

void LinuxPressureWatch::open_all() {
  cgroup_lost_ = false;
  retry_after_ns_ = kRetrySoonest;
  systemd_.close();
  if (wants(PressureSource::kSystemd)) open_systemd();
  counters_.close();
  notices_.close();
  open_cgroup();
  open_stall(v2_folder_);
  open_machine();
}

// The files of this process's cgroup that are not open yet.
void LinuxPressureWatch::open_cgroup() {
  const auto text = self_cgroup_.read();
  cgroup_text_.assign(text.value_or(std::string_view{}));
  const CgroupSearch unified = find_cgroup("", "");
  const CgroupSearch memory = find_cgroup("", "memory");
  cgroup_unknown_ = !text || unified.failed || memory.failed;
  v2_folder_ = v2_folder_of(unified);
  const std::optional<CgroupPlace>& place = memory.place;
  std::vector<CgroupLimits> levels;
  if (place) {
    for (const CgroupLevel& level : levels_of(*place))
      levels.emplace_back(level.folder(), place->version);
  }
  const std::string folder = place ? place->folder() : std::string{};
  const int version = place ? place->version : 0;
  if (wants(PressureSource::kCgroup)) open_limits(folder, version, std::move(levels));
  if (wants(PressureSource::kCgroupNotice) && notices_.descriptor() < 0)
    open_notices(folder, version);
}

void LinuxPressureWatch::open_stall(const std::string& v2_folder) {
  psi_.close();
  stall_lost_ = false;
  if (request_.sources == 0 && systemd_.unwanted()) {
    // The service manager's thresholds replace those for stalls. Byte-based sources are still
    // watched.
    const char* const why = "the service manager asks not to watch ($MEMORY_PRESSURE_WATCH)";
    state(PressureSource::kCgroupStall, false, false, "", why);
    state(PressureSource::kStall, false, false, "", why);
    return;
  }
  if (wants(PressureSource::kCgroupStall)) {
    if (v2_folder.empty()) {
      state(PressureSource::kCgroupStall, false, false, "",
            cgroup_unknown_ ? kUnknownCgroup
                            : "this process is in the root cgroup, or in none of version 2");
    } else if (try_stall(PressureSource::kCgroupStall, v2_folder + "/memory.pressure")) {
      if (wants(PressureSource::kStall))
        state(PressureSource::kStall, false, false, "/proc/pressure/memory",
              "the cgroup's own is watched instead");
      return;
    }
  }
  if (wants(PressureSource::kStall)) try_stall(PressureSource::kStall, "/proc/pressure/memory");
}

bool LinuxPressureWatch::try_stall(PressureSource source, const std::string& path) {
  const std::string why_not = psi_.open(path);
  if (!why_not.empty()) {
    state(source, false, false, path, why_not);
    return false;
  }
  stall_source_ = source;
  const int refused = psi_.arm(request_.wake_stall_us, request_.window_us);
  state(source, true, refused == 0, path,
        refused == 0 ? trigger_words(request_)
                     : "looked at all the time: a trigger this quick needs CAP_SYS_RESOURCE (" +
                           std::string(std::strerror(refused)) + ")");
  return true;
}

void LinuxPressureWatch::open_limits(const std::string& folder, int version,
                                     std::vector<CgroupLimits> levels) {
  const bool counted = version == 2 && (counters_.descriptor() >= 0 || counters_.open(folder));
  levels_ = std::move(levels);
  const bool limited = tightest(levels_).has_value();
  state(PressureSource::kCgroup, counted || limited, counted, folder,
        cgroup_unknown_ ? kUnknownCgroup
        : version == 0  ? "no memory controller"
        : counted       ? "limits looked at, and memory.events wakes"
        : limited       ? "limits looked at"
                        : "no limit");
  if (!counted && !limited) levels_.clear();
}

void LinuxPressureWatch::open_notices(const std::string& folder, int version) {
  const std::string why_not = version == 1      ? notices_.open(folder)
                              : cgroup_unknown_ ? std::string(kUnknownCgroup)
                                                : std::string("no cgroup of version 1");
  state(PressureSource::kCgroupNotice, why_not.empty(), why_not.empty(), folder,
        why_not.empty() ? "memory.pressure_level \"medium\" wakes" : why_not);
}

void LinuxPressureWatch::open_systemd() {
  const std::string why_not =
      systemd_.open(request_.service_watch.c_str(), request_.service_write.c_str());
  state(PressureSource::kSystemd, why_not.empty(), why_not.empty(), systemd_.path(),
        why_not.empty() ? "wakes as the service manager has set it up" : why_not);
}

void LinuxPressureWatch::open_machine() {
  if (wants(PressureSource::kNodes)) {
    const bool some = !nodes_.look(monotonic_ns()).empty();
    state(PressureSource::kNodes, some, false, "/proc/zoneinfo",
          some ? "looked at" : "no node tells its memory");
  }
  if (wants(PressureSource::kBalloon)) {
    if (balloon_.source().empty()) balloon_ = BalloonMeter();  // it looks once: may be plugged now
    const bool metered = !balloon_.source().empty();
    state(PressureSource::kBalloon, metered, false, std::string(balloon_.source()),
          metered             ? "looked at"
          : balloon_.device() ? "its size cannot be read"
                              : "no balloon device");
  }
  if (wants(PressureSource::kMachine)) {
    const auto text = meminfo_.read();
    const bool told = text && number_after(*text, "MemAvailable:").has_value();
    state(PressureSource::kMachine, told, false, "/proc/meminfo",
          told ? "looked at" : "no MemAvailable");
  }
}

void LinuxPressureWatch::note(PressureSource source) noexcept {
  pending_notices_ |= bit_of(source);
}

void LinuxPressureWatch::ring() noexcept {
  const std::lock_guard guard(mutex_);
  if (const int fd = bell_.get(); fd >= 0) fill_wake_pipe(fd);
}

bool LinuxPressureWatch::wait(std::uint32_t timeout_ms) noexcept {
  std::array<pollfd, 5> set{};
  nfds_t count = 0;
  const auto add = [&](int fd, short events) {
    if (fd < 0) return -1;
    set[count] = {fd, events, 0};
    return static_cast<int>(count++);
  };
  int bell_fd = -1;
  {
    const std::lock_guard guard(mutex_);
    bell_fd = bell_.get();
    if (bell_fd < 0) bell_ = KeptDescriptor(bell_fd = open_wake_pipe());
  }
  const int bell = add(bell_fd, POLLIN);
  const int psi = psi_.armed() ? add(psi_.descriptor(), POLLPRI) : -1;
  const int counters = add(counters_.descriptor(), POLLPRI);
  // Waiting for another file does it no harm, and nothing is read before a check.
  const int notices = add(notices_.number(), POLLIN);
  const int systemd = add(systemd_.descriptor(), systemd_.poll_events());
  const int timeout = static_cast<int>(std::min<std::uint32_t>(timeout_ms, 1U << 30));
  if (::poll(set.data(), count, timeout) <= 0) return false;
  const auto got = [&](int index) {
    return index < 0 ? short{0} : set[static_cast<std::size_t>(index)].revents;
  };
  if (got(bell) != 0) {
    const std::lock_guard guard(mutex_);
    bell_fd = bell_.get();
    if (bell_fd >= 0) empty_wake_pipe(bell_fd);
  }
  // The cgroup was removed: poll would answer so forever.
  if ((got(psi) & POLLERR) != 0) {
    psi_.close();
    stall_lost_ = true;
  }
  if (got(counters) != 0) take_notices();
  if (got(notices) != 0) {
    if (notices_.take()) {
      note(PressureSource::kCgroupNotice);
    } else if (notices_.number() < 0 && !notices_.lost()) {
      cgroup_lost_ = true;
      state(PressureSource::kCgroupNotice, false, false, "", "the cgroup was removed");
    }
  }
  if (got(systemd) != 0) {
    if ((got(systemd) & (POLLERR | POLLHUP | POLLNVAL)) != 0 || !systemd_.take()) {
      systemd_.close();
      state(PressureSource::kSystemd, false, false, systemd_.path(), "the other end is gone");
    } else {
      note(PressureSource::kSystemd);
    }
  }
  return pending_notices_ != 0;
}

void LinuxPressureWatch::take_notices() noexcept {
  const auto since = counters_.look();
  if (!since) {
    counters_.close();
    return;
  }
  if (since->high != 0 || since->max != 0 || since->oom != 0) note(PressureSource::kCgroup);
  if (since->max != 0 || since->oom != 0) near_the_killer_ = true;
}

// A program that closes descriptors that it does not know took what we watched.
bool LinuxPressureWatch::lost_any() noexcept {
  static_cast<void>(notices_.descriptor());  // the only one that is not checked whenever we wait
  return psi_.lost() || counters_.lost() || notices_.lost() || systemd_.lost();
}

// A process may be moved to another cgroup at any time, and its cgroup removed after that.
void LinuxPressureWatch::follow_cgroup(std::uint64_t now_ns) {
  if (now_ns - followed_ns_ < kFollowEvery) return;
  followed_ns_ = now_ns;
  const auto text = self_cgroup_.read();
  if (stall_lost_ || cgroup_lost_ || lost_any() || (text && *text != cgroup_text_)) open_all();
}

// A source that failed at the start may have lacked a descriptor then, or may come with a later
// device, limit or service.
void LinuxPressureWatch::retry(std::uint64_t now_ns) {
  if (now_ns - retried_ns_ < retry_after_ns_) return;
  retried_ns_ = now_ns;
  const std::uint64_t next_ns = std::min(2 * retry_after_ns_, kRetryLatest);
  if (cgroup_unknown_) {
    open_all();
  } else {
    if (wants(PressureSource::kSystemd) && systemd_.descriptor() < 0) open_systemd();
    open_cgroup();
    PsiFile own;
    const bool own_stall =
        wants(PressureSource::kCgroupStall) && !v2_folder_.empty() &&
        (psi_.descriptor() < 0 || stall_source_ != PressureSource::kCgroupStall) &&
        own.open(v2_folder_ + "/memory.pressure").empty();
    if (psi_.descriptor() < 0 || own_stall) open_stall(v2_folder_);
    open_machine();
  }
  retry_after_ns_ = next_ns;
}

std::optional<StallTotals> LinuxPressureWatch::look_at_stall() {
  if (psi_.descriptor() < 0) return std::nullopt;
  const auto totals = psi_.read();
  if (!totals) {
    psi_.close();
    stall_lost_ = true;
    return std::nullopt;
  }
  return StallTotals{stall_source_, totals->some_us, totals->full_us};
}

PressureLook LinuxPressureWatch::look() {
  const std::uint64_t now_ns = monotonic_ns();
  follow_cgroup(now_ns);
  retry(now_ns);
  PressureLook out;
  out.stall = look_at_stall();
  if (wants(PressureSource::kMachine)) {
    if (const auto text = meminfo_.read()) {
      const auto available = meminfo_bytes(*text, "MemAvailable:");
      const auto total = meminfo_bytes(*text, "MemTotal:");
      if (available && total) out.machine = Supply{*available, *total};
    }
  }
  if (wants(PressureSource::kNodes)) out.nodes = nodes_.look(now_ns);
  if (counters_.descriptor() >= 0) take_notices();
  out.cgroup = tightest(levels_);
  if (wants(PressureSource::kBalloon)) {
    out.balloon_bytes = balloon_.inflated_bytes();
    if (out.balloon_bytes) out.balloon_target_bytes = balloon_.target_bytes();
  }
  out.notices = std::exchange(pending_notices_, 0);
  out.near_the_killer = std::exchange(near_the_killer_, false);
  return out;
}

Result<std::unique_ptr<PressureWatch>> open_pressure_watch(const WatchRequest& request) {
  auto watch = std::make_unique<LinuxPressureWatch>(request);
  if (!watch->can_wait()) return Failure{Cause::kOther, "pipe", errno, "to wake the monitor"};
  return std::unique_ptr<PressureWatch>(std::move(watch));
}

}  // namespace numapool::platform
