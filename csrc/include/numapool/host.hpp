// What is below the system: the hypervisor, the balloon, and how freed memory reaches the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace numapool {

// What the processor says by CPUID, which the hypervisor answers for it.
struct Cpuid {
  bool hypervisor = false;              // leaf 1, ECX bit 31
  std::vector<std::string> signatures;  // leaves 0x40000000, 0x40000100, ... that hold one
};

// Nothing on processors without CPUID.
[[nodiscard]] std::optional<Cpuid> read_cpuid();

struct Hypervisor {
  // "kvm", "qemu" (its emulation), "xen", "vmware", "hyperv", ...; "unknown" where there is one and
  // nothing names it; empty on bare metal.
  std::string kind;
  std::string vendor_signature;       // of CPUID; empty where there is none
  std::string product;                // DMI product_name under a hypervisor; may be empty
  std::vector<std::string> evidence;  // all that was seen, what decided first
};

// The hypervisor under the machine at `root`. `cpuid` stands in for the processor's; without it,
// CPUID is read if `root` is "/". Throws Error(kSystem, kUnsupported).
[[nodiscard]] Hypervisor detect_hypervisor(const std::string& root,
                                           const std::optional<Cpuid>& cpuid = std::nullopt);

struct Balloon {
  std::string driver;  // "virtio", "xen", "vmware", "hyperv"; empty: no device
  bool at_work = false;
  std::string place;                  // the file or folder that shows the device
  std::vector<std::string> features;  // virtio: names of the negotiated bits, ascending
  bool reports_free_pages = false;    // the host takes free memory at once
  std::string source;                 // the file and figure of the size; empty: it cannot be read
  std::optional<std::uint64_t> inflated_bytes;
  std::optional<std::uint64_t> target_bytes;
};

// Read now. Throws Error(kSystem, kUnsupported).
[[nodiscard]] Balloon read_balloon(const std::string& root);

// Free memory as page reporting sees it.
struct FreeBlocks {
  int order = 0;  // blocks of 2^order pages and more are reported
  bool order_assumed = false;
  std::uint64_t block_bytes = 0;
  std::uint64_t reportable_bytes = 0;  // free in blocks of at least block_bytes
  std::uint64_t fragmented_bytes = 0;  // free in smaller ones
};
[[nodiscard]] FreeBlocks free_blocks(const std::string& root);

// Throws Error: kSystem with EACCES or EPERM without the privilege, kUnsupported where the kernel
// cannot; both say what to do.
void compact_memory(const std::string& root);

struct Resident {
  std::uint64_t now_bytes = 0;
  std::uint64_t peak_bytes = 0;
};
[[nodiscard]] Resident resident_memory();

// Hands the free pages of the C library's heap to the system; false where it has no such call.
bool trim_heap() noexcept;

}  // namespace numapool
