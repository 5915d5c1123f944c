// Finds the balloon device of a guest: which driver, where its files are, whether it is at work.
#pragma once

#include <optional>
#include <string>

#include "platform/linux/files/file_tree.hpp"

namespace numapool::platform {

enum class BalloonDriver { kVirtio, kXen, kVmware, kHyperv };

struct BalloonDevice {
  BalloonDriver driver = BalloonDriver::kVirtio;
  std::string place;     // relative to the root: what shows that the device is there
  bool bound = true;     // the kernel's driver has taken the device
  std::string features;  // virtio: the negotiated features, a '0' or '1' per bit, bit 0 first
};

// The device whose driver is active, or else one without a driver yet; empty optional if the tree
// has no such device. It does not identify the hypervisor: QEMU offers Hyper-V's balloon, and Xen
// guests may have virtio's.
[[nodiscard]] std::optional<BalloonDevice> find_balloon(const Folder& root);

}  // namespace numapool::platform
