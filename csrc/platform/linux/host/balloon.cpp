// The balloon as a record: driver, features, size.
#include <cerrno>

#include "platform/host.hpp"
#include "platform/linux/host/balloon_meter.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kLargestFeature = 128;  // bits that any kernel knows of (Linux 6.17)

const char* driver_name(BalloonDriver driver) noexcept {
  switch (driver) {
    case BalloonDriver::kVirtio:
      return "virtio";
    case BalloonDriver::kXen:
      return "xen";
    case BalloonDriver::kVmware:
      return "vmware";
    case BalloonDriver::kHyperv:
      return "hyperv";
  }
  return "";
}

}  // namespace

Result<BalloonRecord> read_balloon(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  BalloonMeter meter(root_path);
  BalloonRecord record;
  if (!meter.device()) return record;
  const BalloonDevice& device = *meter.device();
  record.driver = driver_name(device.driver);
  record.at_work = device.bound;
  record.place = root.path_to(device.place.c_str());
  for (std::size_t bit = 0; bit < device.features.size() && bit < kLargestFeature; ++bit) {
    if (device.features[bit] == '1') record.feature_bits.push_back(static_cast<int>(bit));
  }
  record.source = meter.source();
  record.inflated_bytes = meter.inflated_bytes();
  record.target_bytes = meter.target_bytes();
  return record;
}

}  // namespace numapool::platform
