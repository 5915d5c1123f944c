// What this process may still use: MemAvailable, the limits of its cgroups, and the nodes it is
// allowed.
#include <fcntl.h>
#include <numaif.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "platform/linux/cgroup.hpp"
#include "platform/linux/id_list.hpp"
#include "platform/linux/kept_file.hpp"
#include "platform/linux/node_mask.hpp"
#include "platform/linux/system_call.hpp"
#include "platform/locks.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr std::uint64_t kKiB = 1024;

std::string slurp(const char* path) {
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 4096> part{};
  for (ssize_t got = 0; (got = read(fd, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  return text;
}

bool v2_has_memory(const std::string& mount_point) {
  return slurp((mount_point + "/cgroup.controllers").c_str()).find("memory") != std::string::npos;
}

// The files looked at before each large allocation, kept open. Under the
// lock the kernel alone is asked.
class Accounts {
 public:
  Result<Available> available() {
    const std::lock_guard guard(mutex_);
    renew_after_fork();
    const auto meminfo = meminfo_.read();
    const auto machine = meminfo ? number_after(*meminfo, "MemAvailable:") : std::nullopt;
    if (!machine) return failed("read", ENOENT, "MemAvailable in /proc/meminfo");
    Available least{*machine * kKiB, "the machine (MemAvailable)"};
    follow_cgroup();
    for (CgroupLevel& level : levels_) {
      const auto headroom = level.headroom_bytes();
      if (headroom && *headroom < least.bytes) least = {*headroom, "the cgroup " + level.folder()};
    }
    if (const auto allowed = allowed_nodes_bytes(); allowed && *allowed < least.bytes) {
      least = {*allowed, "the nodes that this process is allowed (cpuset)"};
    }
    return least;
  }

  Result<NodeRoom> room(int node) {
    const std::lock_guard guard(mutex_);
    renew_after_fork();
    return room_locked(node);
  }

 private:
  void renew_after_fork() {
    if (owner_ == getpid()) return;
    owner_ = getpid();
    self_cgroup_ = KeptFile("/proc/self/cgroup");
    cgroup_text_.clear();
  }

  // A process may be moved between cgroups at any time; one pread tells.
  void follow_cgroup() {
    const auto text = self_cgroup_.read();
    if (!text || *text == cgroup_text_) return;
    cgroup_text_.assign(*text);
    levels_.clear();
    if (const auto place =
            find_memory_cgroup(cgroup_text_, slurp("/proc/self/mountinfo"), v2_has_memory)) {
      levels_ = levels_of(*place);
    }
  }

  // A cpuset that leaves out nodes makes the kernel kill when the allowed ones are full, however
  // much the machine has. Nothing where every node with memory is allowed.
  std::optional<std::uint64_t> allowed_nodes_bytes() {
    NodeMask allowed;
    if (get_mempolicy(nullptr, allowed.data(), NodeMask::kMaxNode, nullptr, MPOL_F_MEMS_ALLOWED) !=
        0) {
      return std::nullopt;
    }
    const auto memory_text = has_memory_.read();
    if (!memory_text) return std::nullopt;
    const auto with_memory = parse_id_list(*memory_text);
    if (!with_memory) return std::nullopt;
    const bool restricted = std::any_of(with_memory->begin(), with_memory->end(),
                                        [&](int node) { return !allowed.test(node); });
    if (!restricted) return std::nullopt;
    std::uint64_t sum = 0;
    for (const int node : allowed.nodes()) {
      if (const auto room = room_locked(node))
        sum += room.value().free_bytes + room.value().clean_file_bytes;
    }
    return sum;
  }

  Result<NodeRoom> room_locked(int node) {
    const std::string folder = "/sys/devices/system/node/node" + std::to_string(node);
    auto file = node_meminfo_.try_emplace(node, folder + "/meminfo").first;
    const auto text = file->second.read();
    if (!text) return failed("open", ENOENT, file->second.path());
    const auto kib = [&](std::string_view key) { return number_after(*text, key).value_or(0); };
    const std::uint64_t file_pages = kib("Active(file):") + kib("Inactive(file):");
    const std::uint64_t unclean = kib("Dirty:") + kib("Writeback:");
    NodeRoom room{kib("MemFree:") * kKiB, (file_pages > unclean ? file_pages - unclean : 0) * kKiB};
    if (is_only_node_with_memory(node)) {
      // A kernel that initializes memory on demand counts it for the machine before it does for the
      // node.
      const auto machine = meminfo_.read();
      const auto free = machine ? number_after(*machine, "MemFree:") : std::nullopt;
      room.free_bytes = std::max(room.free_bytes, free.value_or(0) * kKiB);
    }
    return room;
  }

  bool is_only_node_with_memory(int node) {
    const auto text = has_memory_.read();
    const auto ids = text ? parse_id_list(*text) : std::nullopt;
    return ids && ids->size() == 1 && ids->front() == node;
  }

  Mutex mutex_{LockRank::kAvailable};
  pid_t owner_ = -1;
  KeptFile meminfo_{"/proc/meminfo"};
  KeptFile has_memory_{"/sys/devices/system/node/has_memory"};
  KeptFile self_cgroup_{"/proc/self/cgroup"};
  std::string cgroup_text_;
  std::vector<CgroupLevel> levels_;
  std::map<int, KeptFile> node_meminfo_;
};

Accounts& accounts = *new Accounts;  // buffers may be allocated while the interpreter shuts down

}  // namespace

Result<Available> available() { return accounts.available(); }

Result<NodeRoom> node_room(int node) { return accounts.room(node); }

}  // namespace numapool::platform
