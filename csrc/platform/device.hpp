// What an operating system must provide to find the hardware behind a path, a name or an address,
// and the node of that hardware.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// A piece of hardware; for a file system in memory, that memory.
struct DeviceRecord {
  std::string name;  // the system's name: nvme0n1, eth0, mlx5_0, dax0.0, 0000:3b:00.0
  // "block", "nvme", "pmem", "dax", "net", "infiniband", "gpu", "pci" (another PCI function),
  // "memory" (of a file system in memory), "other"
  std::string kind;
  std::optional<int> node_id;  // as the system tells it, online or not; empty if it does not
  std::string pci_address;     // 0000:3b:00.0; empty if the device is behind no PCI function
  std::string evidence;  // the file that told the node, or told that there is none; empty: no file
  std::string reason;    // why the node is unknown; empty if it is known
};

// One step of the walk from a path to its hardware. The steps are in the order of a depth-first
// walk: the parent of a step is the last step before it whose depth is smaller by one.
struct DeviceStep {
  int depth = 0;
  std::string kind;  // "file", "mount", "partition", "crypt", "loop", "bond", "PCI", ...
  std::string name;
  std::string path;            // where the system tells of it; empty if nowhere
  std::string note;            // details, or why the walk ends here; may be empty
  std::optional<int> node_id;  // set if the walk found the node here
};

struct DeviceWalk {
  std::vector<DeviceStep> steps;
  std::vector<DeviceRecord> legs;      // in the order found, no duplicates
  std::vector<std::string> dead_ends;  // why parts of the walk led to no hardware
};

// Walks from `name` to the hardware. A name with a slash, or of an existing file, is a path; else a
// PCI address; else a network interface; else a device of another kind. `root` is "/" for the
// running machine, or contains another machine's sys and proc, whose mounts are then used to look
// up paths. Time and memory are bounded, whatever the tree contains. An unknown name is a failure
// with code ENOENT. Throws only std::bad_alloc.
Result<DeviceWalk> walk_to_devices(const std::string& root, const std::string& name);

// All block, NVMe, pmem, dax, network and InfiniBand devices and GPUs that are hardware, by kind
// and name. Throws only std::bad_alloc.
Result<std::vector<DeviceRecord>> list_devices(const std::string& root);

}  // namespace numapool::platform
