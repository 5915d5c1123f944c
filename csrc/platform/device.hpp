// What an operating system must provide to tell which hardware a path, a name or an address leads
// to, and the node that hardware is on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// A piece of hardware, or of memory where a file lives in memory.
struct DeviceRecord {
  std::string name;  // as the system calls it: nvme0n1, eth0, mlx5_0, dax0.0, 0000:3b:00.0
  // "block", "nvme", "pmem", "dax", "net", "infiniband", "gpu", "pci" (another PCI function),
  // "memory" (of a file system in memory), "other"
  std::string kind;
  std::optional<int> node_id;  // as the system tells it, online or not; nothing where it does not
  std::string pci_address;     // 0000:3b:00.0; empty for what is behind no PCI function
  std::string evidence;  // the file that told the node, or that told there is none; empty: no file
  std::string reason;    // why there is no node; empty where there is one
};

// A station of the walk from a path to its hardware. The steps of a walk are in the order of a tree
// walked depth first: a step hangs from the last one before it whose depth is smaller by one.
struct DeviceStep {
  int depth = 0;
  std::string kind;  // "file", "mount", "partition", "crypt", "loop", "bond", "PCI", ...
  std::string name;
  std::string path;            // where the system tells of it; empty where it does not
  std::string note;            // more about it, or why the walk ends here; may be empty
  std::optional<int> node_id;  // set where the walk found the node
};

struct DeviceWalk {
  std::vector<DeviceStep> steps;
  std::vector<DeviceRecord> legs;      // in the order found, each once
  std::vector<std::string> dead_ends;  // why parts of the walk led to no hardware
};

// Walks from `name` to the hardware. A name with a slash or of an existing file is a path; else a
// PCI address; else a network interface; else a device of another kind. `root` is "/" for the
// running machine, or holds another one's sys and proc, of which paths are looked up in its mounts.
// Time and memory are bounded whatever the tree holds. A name that means nothing here is a failure
// with code ENOENT. Throws nothing but std::bad_alloc.
Result<DeviceWalk> walk_to_devices(const std::string& root, const std::string& name);

// All block, NVMe, pmem, dax, network and InfiniBand devices and GPUs that are hardware, by kind
// and name. Throws nothing but std::bad_alloc.
Result<std::vector<DeviceRecord>> list_devices(const std::string& root);

}  // namespace numapool::platform
