// The limits of the job that this process runs in: containers and service managers set them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace numapool::platform::windows {

struct JobRoom {
  std::uint64_t limit_bytes = 0;
  std::uint64_t used_bytes = 0;  // committed
  std::string name;              // which limit it is
};
// The limit with the least room below it; empty if there is none, or it cannot be read. Of nested
// jobs, Windows shows the innermost.
[[nodiscard]] std::optional<JobRoom> job_room();

}  // namespace numapool::platform::windows
