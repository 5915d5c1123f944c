// Where the drivers of balloons show their sizes, below the root.
#pragma once

namespace numapool::platform {

inline constexpr const char* kXenBalloon = "sys/devices/system/xen_memory/xen_memory0";
inline constexpr const char* kVmwareFile = "sys/kernel/debug/vmmemctl";    // root only
inline constexpr const char* kHypervFile = "sys/kernel/debug/hv-balloon";  // root only; Linux 6.0

}  // namespace numapool::platform
