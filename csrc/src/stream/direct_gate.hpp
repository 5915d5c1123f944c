// Makes forks wait for direct reads in flight.
#pragma once

namespace numapool {

// Held while a device writes into memory of this process. A fork waits for all such writes: before
// Linux 6.3, the pages that a device writes to may belong to the child alone after the fork
// (open(2), NOTES). It gives up waiting after a second without an answer from the device.
class DirectRead {
 public:
  DirectRead() noexcept;
  ~DirectRead();
  DirectRead(const DirectRead&) = delete;
  DirectRead& operator=(const DirectRead&) = delete;
};

}  // namespace numapool
