// Queues of reads where the system is unknown: none.
#include "platform/read_queue.hpp"

namespace numapool::platform {

const char* read_queue_name() noexcept { return "no queue"; }

Result<std::unique_ptr<ReadQueue>> open_read_queue(const OpenedFile*, std::uint32_t) {
  return Failure{Cause::kUnsupported, "open_read_queue", 0, {}};
}

}  // namespace numapool::platform
