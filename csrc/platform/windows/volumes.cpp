// Path to volume to disks: GetVolumePathName, IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS, and
// IOCTL_STORAGE_GET_DEVICE_NUMBER.
#include "platform/windows/volumes.hpp"

#include <winioctl.h>

#include <algorithm>
#include <cstddef>

namespace numapool::platform::windows {
namespace {

constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

// For questions alone: no access is asked for.
Handle open_to_ask(const std::string& path) {
  return Handle(::CreateFileW(to_wide(path).c_str(), 0, kShareAll, nullptr, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS, nullptr));
}

bool is_device_path(const std::string& path) noexcept {
  return path.starts_with("\\\\.\\") || path.starts_with("//./");
}

}  // namespace

std::vector<unsigned> disks_of(const std::string& device_path, DWORD& error) {
  const Handle device = open_to_ask(device_path);
  if (!device.ok()) {
    error = ::GetLastError();
    return {};
  }
  std::vector<unsigned> out;
  DWORD got = 0;
  constexpr std::size_t kMostExtents = 256;
  std::vector<DWORD64> room((sizeof(VOLUME_DISK_EXTENTS) + kMostExtents * sizeof(DISK_EXTENT)) /
                            sizeof(DWORD64));
  auto* const extents = reinterpret_cast<VOLUME_DISK_EXTENTS*>(room.data());
  if (::DeviceIoControl(device.get(), IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS, nullptr, 0, extents,
                        static_cast<DWORD>(room.size() * sizeof(DWORD64)), &got,
                        nullptr) != FALSE) {
    const DWORD count = std::min<DWORD>(extents->NumberOfDiskExtents, kMostExtents);
    for (DWORD i = 0; i < count; ++i) out.push_back(extents->Extents[i].DiskNumber);
  } else {
    STORAGE_DEVICE_NUMBER number{};
    if (::DeviceIoControl(device.get(), IOCTL_STORAGE_GET_DEVICE_NUMBER, nullptr, 0, &number,
                          sizeof number, &got, nullptr) == FALSE) {
      error = ::GetLastError();
      return {};
    }
    // CD drives count on their own.
    if (number.DeviceType != FILE_DEVICE_DISK) {
      error = ERROR_NOT_SUPPORTED;
      return {};
    }
    out.push_back(number.DeviceNumber);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<VolumePlace> find_volume(const std::string& path) {
  VolumePlace place;
  if (is_device_path(path)) {
    place.volume = path;
  } else {
    const Handle file = open_to_ask(path);
    if (!file.ok()) return failed("CreateFile", ::GetLastError(), path);
    std::vector<wchar_t> words(32768);
    if (::GetVolumePathNameW(to_wide(path).c_str(), words.data(), 32767) == FALSE)
      return failed("GetVolumePathName", ::GetLastError(), path);
    place.mount_point = to_utf8(words.data());
    const std::wstring mount = to_wide(place.mount_point);
    if (::GetDriveTypeW(mount.c_str()) == DRIVE_REMOTE) {
      place.why_none = place.mount_point + " is on another machine";
      return place;
    }
    wchar_t name[64];
    if (::GetVolumeNameForVolumeMountPointW(mount.c_str(), name, 63) == FALSE) {
      place.why_none =
          "Windows names no volume of " + place.mount_point + ": " + error_text(::GetLastError());
      return place;
    }
    place.volume = to_utf8(name);
    if (place.volume.ends_with('\\')) place.volume.pop_back();  // the volume, not its root folder
  }
  DWORD error = ERROR_SUCCESS;
  place.disks = disks_of(place.volume, error);
  if (place.disks.empty()) {
    if (is_device_path(path) && error == ERROR_FILE_NOT_FOUND)
      return failed("CreateFile", error, path);
    place.why_none = place.volume + " lies on no disk that Windows tells";
    if (error != ERROR_SUCCESS) place.why_none += ": " + error_text(error);
  }
  return place;
}

}  // namespace numapool::platform::windows
