// A scripted Windows machine: a table of functions that tell what a test wrote down.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows::testing {

struct Masks {
  int node = 0;
  std::vector<GROUP_AFFINITY> groups;
};

struct Reservation {
  std::size_t length = 0;
  DWORD node = NUMA_NO_PREFERRED_NODE;
};

// What the machine answers, and what was asked of it. One at a time.
struct Script {
  std::vector<Masks> nodes;      // of RelationNumaNodeEx; older tells the first group of each
  bool knows_all_groups = true;  // RelationNumaNodeEx answers
  ULONG highest = 0;
  std::map<int, ULONGLONG> free;  // what is not here fails with ERROR_CALL_NOT_IMPLEMENTED
  std::map<std::string, std::vector<unsigned char>> tables;
  MEMORYSTATUSEX memory{};

  std::string fails;  // the function that fails, with this:
  DWORD error = ERROR_NOT_ENOUGH_MEMORY;
  int fails_after = 0;  // calls that go well first

  std::map<std::uintptr_t, Reservation> reserved;
  std::map<DWORD, std::uint64_t> room;  // bytes that a node takes; what is more goes to `spills_to`
  unsigned spills_to = 0;

  bool in_job = false;
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  std::optional<ULONG64> job_memory;

  bool low = false;
  std::vector<HANDLE> waited_for;
  std::vector<GROUP_AFFINITY> affinities;

  std::map<DWORD, GROUP_AFFINITY> threads;  // by id; 0 is the calling one. Others are refused
  std::vector<DWORD> foreign_threads;       // of other processes
  std::vector<DWORD> groups;                // how many CPUs each has
  DWORD_PTR own_mask = 0;                   // the process's, of its group
  DWORD_PTR every_mask = 0;
  USHORT own_group = 0;
  std::vector<ULONG> default_cpu_sets;
  int calls = 0;  // of the function that fails
};

inline Script* script = nullptr;

// Whether this call is the one that is to fail; sets the last error then.
inline bool fails(const char* name) {
  if (script->fails != name || script->calls++ < script->fails_after) return false;
  ::SetLastError(script->error);
  return true;
}

Api scripted_api();

// Puts the scripted machine in place of the real one for as long as it lives.
class Machine : public Script {
 public:
  Machine() : table_(scripted_api()) {
    script = this;
    memory.dwLength = sizeof memory;
    memory.ullTotalPhys = std::uint64_t{64} << 30;
    memory.ullAvailPhys = std::uint64_t{32} << 30;
    memory.ullAvailPageFile = std::uint64_t{48} << 30;
    replace_api(&table_);
  }
  ~Machine() {
    replace_api(nullptr);
    script = nullptr;
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  Api& table() noexcept { return table_; }

 private:
  Api table_;
};

inline GROUP_AFFINITY group(WORD number, KAFFINITY mask) {
  GROUP_AFFINITY out{};
  out.Group = number;
  out.Mask = mask;
  return out;
}

}  // namespace numapool::platform::windows::testing
