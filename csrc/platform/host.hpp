// What an operating system must provide about the layer below it: hypervisor, balloon, free memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// A piece of evidence for the hypervisor that the system runs on.
enum class ClueKind {
  kProduct,           // DMI product_name
  kVendor,            // DMI sys_vendor, board_vendor, bios_vendor, in this order
  kVersion,           // DMI product_version
  kHypervisorType,    // the kernel's own name for the hypervisor (/sys/hypervisor/type)
  kXen,               // the kernel runs on Xen; `text` is "control_d" in the control domain
  kDeviceTree,        // `compatible` of the device tree's hypervisor node
  kMachine,           // `compatible` and `model` of the device tree's root
  kFirmwareConfig,    // the device by which QEMU hands files to a guest (fw_cfg)
  kPartition,         // the name of an IBM partition
  kControlProgram,    // the control program of an IBM mainframe's guest
  kKernelRelease,     // the kernel's version, if it contains a vendor's name
  kHypervisorFlag,    // a processor flag that says there is a hypervisor
  kNoHypervisorFlag,  // there are flags, and none says that there is a hypervisor
};

struct Clue {
  ClueKind kind;
  std::string where;  // the file
  std::string text;
};

// All evidence except CPUID, which needs no operating system. `root` is "/" or a copy of the same
// files elsewhere; for a copy, /proc/cpuinfo replaces CPUID.
Result<std::vector<Clue>> hypervisor_clues(const std::string& root);

// The folder of this process's cgroup for a controller, and the highest visible ancestor.
struct CgroupFolder {
  int version = 0;  // 2 or 1; 0: there is no cgroup, or it is unknown
  std::string folder;
  std::string top;
  std::string unknown;  // why the cgroup is unknown; empty: it is known, or there is none
};
// An empty `controller` means version 2 with any controllers. Paths do not start with `root`.
[[nodiscard]] CgroupFolder cgroup_folder(const std::string& root, const std::string& controller);

struct BalloonRecord {
  std::string driver;             // "virtio", "xen", "vmware", "hyperv"; empty: no device
  bool at_work = false;           // the kernel's driver is bound to the device
  std::string place;              // the file or folder that proves the device
  std::vector<int> feature_bits;  // virtio: the negotiated feature bits, ascending
  std::string source;             // file and figure that `inflated_bytes` is from; may be empty
  std::optional<std::uint64_t> inflated_bytes;
  std::optional<std::uint64_t> target_bytes;  // the balloon size that the host wants
};

// Reads it at each call. Throws only std::bad_alloc.
Result<BalloonRecord> read_balloon(const std::string& root);

// The smallest free block that the kernel reports to a host, if the balloon supports free page
// reporting.
struct ReportingOrder {
  int order = 0;         // blocks of 2^order pages
  bool assumed = false;  // the kernel does not tell; this is its default
  std::uint64_t page_bytes = 0;
};
Result<ReportingOrder> page_reporting_order(const std::string& root);

// Free memory in blocks of 2^order pages, by order.
Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string& root);

// Makes the kernel compact memory, so that free memory is in large blocks. Takes from milliseconds
// to seconds. kRefused without the privilege, kUnsupported if the kernel cannot do it.
Status compact_memory(const std::string& root);

// Memory of this process that is in RAM, now and at its peak. The kernel updates it in batches per
// CPU, so it is inexact by up to a few MiB.
struct ResidentBytes {
  std::uint64_t now = 0;
  std::uint64_t peak = 0;
};
Result<ResidentBytes> resident_bytes();

// Asks the C library to release free pages of its heap. False if the library cannot.
bool trim_heap() noexcept;

}  // namespace numapool::platform
