// Makes forks wait for direct reads in flight.
#pragma once

#include <cstdint>

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

  // Whether a fork waits at this moment. Who holds this for long ends it soon then.
  [[nodiscard]] static bool fork_waits() noexcept;
  // How many forks this process is away from the one that loaded the library.
  [[nodiscard]] static std::uint32_t generation() noexcept;
};

}  // namespace numapool
