// What runs below the operating system: the hypervisor, its balloon, and how the host gets freed
// memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace numapool {

// What CPUID says; a hypervisor answers it in the processor's place.
struct Cpuid {
  bool hypervisor = false;  // leaf 1, ECX bit 31
  // The first of leaves 0x40000000, 0x40000100, ... that have one.
  std::vector<std::string> signatures;
};

// Empty on processors without CPUID.
[[nodiscard]] std::optional<Cpuid> read_cpuid();

struct Hypervisor {
  // "kvm", "qemu" (its emulation), "xen", "vmware", "hyperv", ...; "unknown" for an unidentified
  // hypervisor; empty on bare metal.
  std::string kind;
  std::string vendor_signature;       // CPUID's signature; empty if there is none
  std::string product;                // DMI product_name under a hypervisor; may be empty
  std::vector<std::string> evidence;  // all evidence seen, the decisive one first
};

// The hypervisor of the machine at `root`. `cpuid` replaces the processor's answer; without it,
// CPUID is read if `root` is "/". Throws Error(kSystem, kUnsupported).
[[nodiscard]] Hypervisor detect_hypervisor(const std::string& root,
                                           const std::optional<Cpuid>& cpuid = std::nullopt);

struct Balloon {
  std::string driver;  // "virtio", "xen", "vmware", "hyperv"; empty: no device
  bool at_work = false;
  std::string place;                  // the file or folder that proves the device
  std::vector<std::string> features;  // virtio: names of the negotiated features, ascending by bit
  bool reports_free_pages = false;    // the host gets free memory at once
  std::string source;  // file and figure that the size is from; empty: the size is unknown
  std::optional<std::uint64_t> inflated_bytes;
  std::optional<std::uint64_t> target_bytes;
};

// Read at each call. Throws Error(kSystem, kUnsupported).
[[nodiscard]] Balloon read_balloon(const std::string& root);

// Free memory as free page reporting sees it.
struct FreeBlocks {
  int order = 0;  // only blocks of at least 2^order pages are reported
  bool order_assumed = false;
  std::uint64_t block_bytes = 0;
  std::uint64_t reportable_bytes = 0;  // free memory in blocks of at least block_bytes
  std::uint64_t fragmented_bytes = 0;  // free memory in smaller blocks
};
[[nodiscard]] FreeBlocks free_blocks(const std::string& root);

// Throws Error: kSystem with EACCES or EPERM without the privilege, kUnsupported if the kernel
// cannot do it. Both errors say what to do.
void compact_memory(const std::string& root);

struct Resident {
  std::uint64_t now_bytes = 0;
  std::uint64_t peak_bytes = 0;
};
[[nodiscard]] Resident resident_memory();

// Returns free pages of the C library's heap to the system; false if the library cannot.
bool trim_heap() noexcept;

}  // namespace numapool
