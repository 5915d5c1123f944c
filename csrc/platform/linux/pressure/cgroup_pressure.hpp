// The room below the limits of this process's cgroup and of its ancestors, and what the kernel
// counts or announces there (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/linux/memory/cgroup.hpp"
#include "platform/pressure.hpp"

namespace numapool::platform {

// The counters of memory.events.
struct CgroupEvents {
  std::uint64_t high = 0;
  std::uint64_t max = 0;
  std::uint64_t oom = 0;
  std::uint64_t oom_kill = 0;
  bool operator==(const CgroupEvents&) const = default;
};
[[nodiscard]] CgroupEvents parse_cgroup_events(std::string_view text) noexcept;

// The lower of memory.high and memory.max of one level, and the memory charged there, without clean
// file cache.
class CgroupLimits {
 public:
  CgroupLimits(const std::string& folder, int version) : level_(folder, version) {}
  [[nodiscard]] std::optional<CgroupSupply> look();  // nothing: no limit here

 private:
  CgroupLevel level_;
};

// The level with the least room.
[[nodiscard]] std::optional<CgroupSupply> tightest(std::vector<CgroupLimits>& levels);

// memory.events of a v2 cgroup: its descriptor answers to POLLPRI after a change, once per read.
class CgroupCounters {
 public:
  CgroupCounters() = default;
  ~CgroupCounters() { close(); }
  CgroupCounters(const CgroupCounters&) = delete;
  CgroupCounters& operator=(const CgroupCounters&) = delete;

  // False if there is no such file: the root has none.
  bool open(const std::string& folder);
  void close() noexcept;
  [[nodiscard]] int descriptor() noexcept { return fd_.get(); }
  [[nodiscard]] bool lost() const noexcept { return fd_.lost(); }
  // The events counted since the last look; empty if the cgroup is gone.
  [[nodiscard]] std::optional<CgroupEvents> look() noexcept;

 private:
  KeptDescriptor fd_;
  CgroupEvents last_;
};

// cgroup v1: the kernel signals an eventfd when reclaim in the cgroup gets inefficient.
class CgroupNotices {
 public:
  CgroupNotices() = default;
  ~CgroupNotices() { close(); }
  CgroupNotices(const CgroupNotices&) = delete;
  CgroupNotices& operator=(const CgroupNotices&) = delete;

  // Why there is no listener; empty if there is one.
  [[nodiscard]] std::string open(const std::string& folder);
  void close() noexcept;
  [[nodiscard]] int descriptor() noexcept { return event_fd_.get(); }
  // The same without the check, which is a slow one for an eventfd: to be waited for only.
  [[nodiscard]] int number() const noexcept { return event_fd_.number(); }
  [[nodiscard]] bool lost() const noexcept { return event_fd_.lost(); }
  // True if the kernel signalled since the last call. It signals as well when the cgroup is
  // removed: then this closes, and is false.
  [[nodiscard]] bool take() noexcept;

 private:
  std::string control_;
  KeptDescriptor event_fd_;
  KeptDescriptor level_fd_;
};

}  // namespace numapool::platform
