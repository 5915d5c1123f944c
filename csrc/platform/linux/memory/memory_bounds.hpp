// Every bound on the memory that this process may still use: the machine's, its cgroups', its
// cpuset's, its memory policy's, and for huge pages those of the hugetlb controller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/machine/node_memory.hpp"
#include "platform/linux/memory/cgroup.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {

// Not thread-safe. Unreadable values are not remembered: the next look tries again.
class MemoryBounds {
 public:
  explicit MemoryBounds(std::string root = {});

  [[nodiscard]] std::vector<Bound> look();
  // Of huge pages of one size, in bytes; empty where no cgroup limits them.
  [[nodiscard]] std::vector<Bound> look_hugetlb(std::size_t page_bytes);
  [[nodiscard]] Result<NodeRoom> room(int node_id);
  // After a fork: /proc/self is another process.
  void forget_self();

 private:
  // Where a controller has this process, found anew when the process moved or the last search
  // could not read something.
  struct Place {
    explicit Place(const char* controller) : name(controller) {}
    const char* name;
    std::string cgroup_text;
    CgroupSearch search;
    bool found = false;
    std::uint64_t searched_ms = 0;
  };

  bool follow(Place& place);
  std::optional<std::string_view> read_meminfo();
  void add_machine(std::vector<Bound>& out);
  void add_cgroups(std::vector<Bound>& out);
  void add_nodes(std::vector<Bound>& out);
  std::optional<NodeMemory> node_memory(int node_id);
  std::optional<std::uint64_t> room_of(const std::vector<int>& nodes);
  std::optional<std::vector<int>> nodes_with_memory();
  std::uint64_t swap_room();

  std::string root_;
  KeptFile meminfo_;
  std::uint64_t machine_bytes_ = 0;  // MemTotal as last read; 0: not read yet
  KeptFile has_memory_;
  KeptFile self_cgroup_;
  std::map<int, KeptFile> node_meminfo_;
  Place memory_{"memory"};
  Place hugetlb_{"hugetlb"};
  std::vector<CgroupLevel> levels_;
  std::map<std::size_t, std::vector<HugetlbLevel>> hugetlb_levels_;
};

}  // namespace numapool::platform
