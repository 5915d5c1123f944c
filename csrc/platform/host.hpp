// What an operating system must provide about what is below it: hypervisor, balloon, free memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/result.hpp"

namespace numapool::platform {

// One thing seen that may tell which hypervisor the system runs on.
enum class ClueKind {
  kProduct,           // DMI product_name
  kVendor,            // DMI sys_vendor, board_vendor, bios_vendor, in this order
  kHypervisorType,    // the kernel's own name for it (/sys/hypervisor/type)
  kXen,               // the kernel runs on Xen; `text` is "control_d" in the control domain
  kDeviceTree,        // `compatible` of the device tree's hypervisor node
  kMachine,           // `compatible` and `model` of the device tree's root
  kPartition,         // the name of an IBM partition
  kControlProgram,    // what an IBM mainframe's guest runs on
  kKernelRelease,     // the kernel's version, where a vendor's name is in it
  kHypervisorFlag,    // a processor's flag says that there is a hypervisor
  kNoHypervisorFlag,  // the flags are there and none says so
};

struct Clue {
  ClueKind kind;
  std::string where;  // the file
  std::string text;
};

// All there is of them, CPUID apart (which needs no operating system). `root` is "/" or a tree of
// the same files elsewhere; of a tree elsewhere, /proc/cpuinfo stands in for CPUID.
Result<std::vector<Clue>> hypervisor_clues(const std::string& root);

// The cgroup of this process that a controller limits: its folder, and the highest folder above it
// that can be seen.
struct CgroupFolder {
  int version = 0;  // 2 or 1; 0: none, or not known
  std::string folder;
  std::string top;
  std::string unknown;  // why it is not known; empty: known, or there is none
};
// `controller` "" means version 2, whichever controllers it has. Paths do not start with `root`.
[[nodiscard]] CgroupFolder cgroup_folder(const std::string& root, const std::string& controller);

struct BalloonRecord {
  std::string driver;             // "virtio", "xen", "vmware", "hyperv"; empty: no device
  bool at_work = false;           // the kernel's driver has taken the device
  std::string place;              // what shows the device
  std::vector<int> feature_bits;  // virtio: the bits that were negotiated, ascending
  std::string source;             // the file and figure that `inflated_bytes` is from; may be empty
  std::optional<std::uint64_t> inflated_bytes;
  std::optional<std::uint64_t> target_bytes;  // what the host wants in the balloon
};

// Reads it now. Throws nothing but std::bad_alloc.
Result<BalloonRecord> read_balloon(const std::string& root);

// The smallest free block that the kernel tells a host of, if the balloon reports free pages.
struct ReportingOrder {
  int order = 0;         // blocks of 2^order pages
  bool assumed = false;  // the kernel does not say: its default
  std::uint64_t page_bytes = 0;
};
Result<ReportingOrder> page_reporting_order(const std::string& root);

// Free memory in blocks of 2^order pages, by order.
Result<std::vector<std::uint64_t>> free_bytes_by_order(const std::string& root);

// Makes the kernel move pages together until free memory is in large blocks; takes from
// milliseconds to seconds. kRefused without the privilege, kUnsupported where the kernel cannot.
Status compact_memory(const std::string& root);

// Memory of this process that is in RAM, now and at its highest. Batched per CPU by the kernel: off
// by up to some MiB.
struct ResidentBytes {
  std::uint64_t now = 0;
  std::uint64_t peak = 0;
};
Result<ResidentBytes> resident_bytes();

// Asks the C library for the free pages of its heap. False where it has no such call.
bool trim_heap() noexcept;

}  // namespace numapool::platform
