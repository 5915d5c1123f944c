// The room below the limits of cgroups, and what the kernel counts or announces there.
#include "platform/linux/cgroup_pressure.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace numapool::platform {
namespace {

constexpr std::uint64_t kV1Unlimited = 1ULL << 60;  // v1 says PAGE_COUNTER_MAX, a number near 2^63

std::optional<std::uint64_t> limit_in(KeptFile& file) noexcept {
  const auto text = file.read();
  const auto limit = text ? leading_number(*text) : std::nullopt;
  if (!limit || *limit >= kV1Unlimited) return std::nullopt;
  return limit;
}

std::uint64_t clean_cache(std::string_view stat, int version) {
  const char* const prefix = version == 2 ? "" : "total_";
  const auto sum = [&](std::initializer_list<const char*> keys) {
    std::uint64_t bytes = 0;
    for (const char* const key : keys)
      bytes += number_after(stat, std::string(prefix) + key).value_or(0);
    return bytes;
  };
  const std::uint64_t cache = sum({"active_file ", "inactive_file "});
  const std::uint64_t unclean =
      version == 2 ? sum({"file_dirty ", "file_writeback "}) : sum({"dirty ", "writeback "});
  return cache > unclean ? cache - unclean : 0;
}

std::uint64_t growth(std::uint64_t now, std::uint64_t before) noexcept {
  return now > before ? now - before : 0;
}

}  // namespace

CgroupEvents parse_cgroup_events(std::string_view text) noexcept {
  const auto count = [&](const char* key) { return number_after(text, key).value_or(0); };
  return {count("high "), count("max "), count("oom "), count("oom_kill ")};
}

CgroupLimits::CgroupLimits(const std::string& folder, int version)
    : version_(version),
      max_(folder + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes")),
      high_(folder + "/memory.high"),
      usage_(folder + (version == 2 ? "/memory.current" : "/memory.usage_in_bytes")),
      stat_(folder + "/memory.stat") {}

std::optional<CgroupSupply> CgroupLimits::look() noexcept {
  auto limit = limit_in(max_);
  if (version_ == 2) {
    const auto high = limit_in(high_);
    if (high && (!limit || *high < *limit)) limit = high;
  }
  if (!limit) return std::nullopt;
  const auto usage_text = usage_.read();
  const auto usage = usage_text ? leading_number(*usage_text) : std::nullopt;
  if (!usage) return std::nullopt;
  const auto stat = stat_.read();
  const std::uint64_t cache = stat ? clean_cache(*stat, version_) : 0;
  return CgroupSupply{*limit, *usage > cache ? *usage - cache : 0};
}

std::optional<CgroupSupply> tightest(std::vector<CgroupLimits>& levels) noexcept {
  const auto room = [](const CgroupSupply& one) {
    return static_cast<std::int64_t>(one.limit_bytes) - static_cast<std::int64_t>(one.needed_bytes);
  };
  std::optional<CgroupSupply> least;
  for (CgroupLimits& level : levels) {
    const auto one = level.look();
    if (one && (!least || room(*one) < room(*least))) least = one;
  }
  return least;
}

bool CgroupCounters::open(const std::string& folder) {
  close();
  fd_ = ::open((folder + "/memory.events").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) return false;
  last_ = {};
  const auto first = look();  // what happened before is no news
  if (!first) close();
  return fd_ >= 0;
}

void CgroupCounters::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::optional<CgroupEvents> CgroupCounters::look() noexcept {
  std::array<char, 1024> text{};
  const ssize_t got = fd_ < 0 ? -1 : ::pread(fd_, text.data(), text.size(), 0);
  if (got < 0) return std::nullopt;
  const CgroupEvents now = parse_cgroup_events({text.data(), static_cast<std::size_t>(got)});
  const CgroupEvents since{growth(now.high, last_.high), growth(now.max, last_.max),
                           growth(now.oom, last_.oom), growth(now.oom_kill, last_.oom_kill)};
  last_ = now;
  return since;
}

std::string CgroupNotices::open(const std::string& folder) {
  close();
  const auto because = [this](const char* what) {
    std::string words = std::string(what) + ": " + std::strerror(errno);
    close();
    return words;
  };
  level_fd_ = ::open((folder + "/memory.pressure_level").c_str(), O_RDONLY | O_CLOEXEC);
  if (level_fd_ < 0) return because("memory.pressure_level cannot be opened");
  event_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd_ < 0) return because("no eventfd");
  control_ = folder + "/cgroup.event_control";
  const int control = ::open(control_.c_str(), O_WRONLY | O_CLOEXEC);
  if (control < 0) return because("cgroup.event_control cannot be opened");
  const std::string line = std::to_string(event_fd_) + ' ' + std::to_string(level_fd_) + " medium";
  const bool written = ::write(control, line.data(), line.size()) >= 0;
  const int code = errno;
  ::close(control);
  errno = code;
  if (!written) return because("cgroup.event_control refuses");
  return {};
}

void CgroupNotices::close() noexcept {
  if (event_fd_ >= 0) ::close(event_fd_);
  if (level_fd_ >= 0) ::close(level_fd_);
  event_fd_ = level_fd_ = -1;
}

bool CgroupNotices::take() noexcept {
  std::uint64_t count = 0;
  if (event_fd_ < 0 || ::read(event_fd_, &count, sizeof(count)) != sizeof(count) || count == 0)
    return false;
  // Of a removed cgroup the files go first, then every listener is signalled (memcg_event_remove in
  // mm/memcontrol-v1.c; tools/cgroup/cgroup_event_listener.c looks so too).
  if (::access(control_.c_str(), F_OK) == 0 || errno != ENOENT) return true;
  close();
  return false;
}

}  // namespace numapool::platform
