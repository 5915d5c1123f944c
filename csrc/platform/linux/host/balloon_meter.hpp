// How much memory the balloon holds now, and how much its host wants in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/linux/files/kept_file.hpp"
#include "platform/linux/host/balloon_device.hpp"

namespace numapool::platform {

// Looks for the device once, when it is made, and keeps its files open: a look is one pread (Xen:
// two, for the target four), some 20 us. Not thread-safe: the owner holds a lock. Nothing
// it reads belongs to a process, so that it may be used on both sides of a fork.
class BalloonMeter {
 public:
  explicit BalloonMeter(const std::string& root = "/");

  // Memory that the balloon has taken from this system. Empty if no balloon is active, or its
  // driver's size cannot be read (VMware and old Hyper-V drivers show it only to root).
  [[nodiscard]] std::optional<std::uint64_t> inflated_bytes() noexcept;
  // The balloon size that the host asked for. Empty if the driver does not show it: virtio and
  // Hyper-V never do.
  [[nodiscard]] std::optional<std::uint64_t> target_bytes() noexcept;
  // The file and the figure in it, such as "/proc/vmstat: nr_balloon_pages"; empty where
  // inflated_bytes() has nothing to say.
  [[nodiscard]] std::string_view source() const noexcept { return source_; }
  // The device found, at work or not.
  [[nodiscard]] const std::optional<BalloonDevice>& device() const noexcept { return device_; }

 private:
  enum class Method { kNone, kPages, kEvents, kMeminfo, kXen, kVmware, kHyperv };

  void choose(const std::string& root, BalloonDriver driver);
  bool try_method(Method method, std::string file, const char* figure);

  std::optional<BalloonDevice> device_;
  Method method_ = Method::kNone;
  std::uint64_t page_bytes_ = 0;
  std::vector<KeptFile> files_;
  std::string source_;
};

}  // namespace numapool::platform
