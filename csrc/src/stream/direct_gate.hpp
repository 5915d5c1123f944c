// Keeps forks away from direct reads that are on their way.
#pragma once

namespace numapool {

// Held while a device writes into memory of this process. A fork waits for all of them: before
// Linux 6.3 the pages that a device writes to may be the child's alone after it (open(2), NOTES).
// It does not wait for a device that does not answer for a second.
class DirectRead {
 public:
  DirectRead() noexcept;
  ~DirectRead();
  DirectRead(const DirectRead&) = delete;
  DirectRead& operator=(const DirectRead&) = delete;
};

}  // namespace numapool
