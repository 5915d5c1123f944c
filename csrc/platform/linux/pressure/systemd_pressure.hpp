// The service manager's protocol: $MEMORY_PRESSURE_WATCH names what to watch, and
// $MEMORY_PRESSURE_WRITE what to write to it first (systemd's "Memory Pressure Handling").
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "platform/linux/files/kept_descriptor.hpp"

namespace numapool::platform {

// Empty optional if the text is not base64 (RFC 4648). The result may contain any bytes.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

// Writes to a file, FIFO or socket, and raises no SIGPIPE where a socket's other end is gone. -1
// and errno where it fails.
[[nodiscard]] ssize_t write_quietly(int fd, std::string_view bytes) noexcept;

// A pressure file, a FIFO or a socket that the service manager has picked. Not thread-safe.
class SystemdPressure {
 public:
  SystemdPressure() = default;
  ~SystemdPressure() { close(); }
  SystemdPressure(const SystemdPressure&) = delete;
  SystemdPressure& operator=(const SystemdPressure&) = delete;

  // As the two variables say; either may be null. Why it is not watched, in words; empty where it
  // is.
  [[nodiscard]] std::string open(const char* watch, const char* write);
  void close() noexcept;
  [[nodiscard]] int descriptor() noexcept { return fd_.get(); }
  [[nodiscard]] bool lost() const noexcept { return fd_.lost(); }
  [[nodiscard]] short poll_events() const noexcept { return poll_events_; }
  // The manager asks not to watch at all ("/dev/null").
  [[nodiscard]] bool unwanted() const noexcept { return unwanted_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // To be called after the descriptor woke: reads what was sent. False if the other end is gone.
  [[nodiscard]] bool take() noexcept;

 private:
  std::string path_;
  KeptDescriptor fd_;
  short poll_events_ = 0;
  bool unwanted_ = false;
};

}  // namespace numapool::platform
