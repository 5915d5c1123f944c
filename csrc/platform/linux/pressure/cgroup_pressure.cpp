// The room below the limits of cgroups, and what the kernel counts or announces there.
#include "platform/linux/pressure/cgroup_pressure.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace numapool::platform {
namespace {

std::uint64_t growth(std::uint64_t now, std::uint64_t before) noexcept {
  return now > before ? now - before : 0;
}

}  // namespace

CgroupEvents parse_cgroup_events(std::string_view text) noexcept {
  const auto count = [&](const char* key) { return number_after(text, key).value_or(0); };
  return {count("high "), count("max "), count("oom "), count("oom_kill ")};
}

std::optional<CgroupSupply> CgroupLimits::look() {
  const CgroupUse use = level_.look();
  auto limit = use.max_bytes;
  if (use.high_bytes && (!limit || *use.high_bytes < *limit)) limit = use.high_bytes;
  if (!limit || !use.charged_known) return std::nullopt;
  const std::uint64_t clean =
      use.file_cache_bytes > use.unclean_bytes ? use.file_cache_bytes - use.unclean_bytes : 0;
  return CgroupSupply{*limit, use.charged_bytes > clean ? use.charged_bytes - clean : 0};
}

std::optional<CgroupSupply> tightest(std::vector<CgroupLimits>& levels) {
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
  fd_ = KeptDescriptor(
      ::open((folder + "/memory.events").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd_.held()) return false;
  last_ = {};
  const auto first = look();  // what happened before is no news
  if (!first) close();
  return fd_.held();
}

void CgroupCounters::close() noexcept { fd_.close(); }

std::optional<CgroupEvents> CgroupCounters::look() noexcept {
  std::array<char, 1024> text{};
  const int fd = fd_.get();
  const ssize_t got = fd < 0 ? -1 : ::pread(fd, text.data(), text.size(), 0);
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
  level_fd_ =
      KeptDescriptor(::open((folder + "/memory.pressure_level").c_str(), O_RDONLY | O_CLOEXEC));
  if (!level_fd_.held()) return because("memory.pressure_level cannot be opened");
  event_fd_ = KeptDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event_fd_.held()) return because("no eventfd");
  control_ = folder + "/cgroup.event_control";
  const int control = ::open(control_.c_str(), O_WRONLY | O_CLOEXEC);
  if (control < 0) return because("cgroup.event_control cannot be opened");
  const std::string line =
      std::to_string(event_fd_.number()) + ' ' + std::to_string(level_fd_.number()) + " medium";
  const bool written = ::write(control, line.data(), line.size()) >= 0;
  const int code = errno;
  ::close(control);
  errno = code;
  if (!written) return because("cgroup.event_control refuses");
  return {};
}

void CgroupNotices::close() noexcept {
  event_fd_.close();
  level_fd_.close();
}

bool CgroupNotices::take() noexcept {
  std::uint64_t count = 0;
  const int fd = event_fd_.get();
  if (fd < 0 || ::read(fd, &count, sizeof(count)) != sizeof(count) || count == 0) return false;
  // Of a removed cgroup the files go first, then every listener is signalled (memcg_event_remove in
  // mm/memcontrol-v1.c; tools/cgroup/cgroup_event_listener.c looks so too).
  if (::access(control_.c_str(), F_OK) == 0 || errno != ENOENT) return true;
  close();
  return false;
}

}  // namespace numapool::platform
