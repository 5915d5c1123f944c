// From a path to the disks that its volume lies on.
#pragma once

#include <string>
#include <vector>

#include "platform/windows/api.hpp"

namespace numapool::platform::windows {

struct VolumePlace {
  std::string mount_point;      // C:\ or a folder; empty for a path that is a device's
  std::string volume;           // \\?\Volume{...}; the device's path
  std::vector<unsigned> disks;  // numbers as in \\.\PhysicalDriveN, ascending, each once
  std::string why_none;         // why there are no disks
};

// Fails where there is no such path.
Result<VolumePlace> find_volume(const std::string& path);

// The number of the disk that a device path opens; nothing if the path is not a disk's.
[[nodiscard]] std::vector<unsigned> disks_of(const std::string& device_path, DWORD& error);

}  // namespace numapool::platform::windows
