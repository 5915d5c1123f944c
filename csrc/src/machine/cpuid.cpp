// Reads the hypervisor leaves of CPUID (Intel SDM and AMD APM: leaf 1; the rest by convention).
#include <cstring>

#include "numapool/host.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define NUMAPOOL_HAS_CPUID 1
#elif defined(_M_X64) || defined(_M_IX86)
#include <intrin.h>
#define NUMAPOOL_HAS_CPUID 1
#endif

namespace numapool {

#ifdef NUMAPOOL_HAS_CPUID
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers leaf(unsigned number) noexcept {
  Registers out;
#if defined(_M_X64) || defined(_M_IX86)
  int values[4];
  __cpuidex(values, static_cast<int>(number), 0);
  std::memcpy(&out, values, sizeof out);
#else
  __cpuid_count(number, 0, out.eax, out.ebx, out.ecx, out.edx);
#endif
  return out;
}

constexpr unsigned kHypervisorBit = 1U << 31;
constexpr unsigned kFirstLeaf = 0x40000000;
constexpr unsigned kStep = 0x100;
// A hypervisor that imitates another shows its own name in the next range (KVM and Xen that imitate
// Hyper-V); none goes beyond the third. Reading a leaf traps into the hypervisor: 16 leaves take
// about 30 µs.
constexpr unsigned kSteps = 16;

// Twelve characters; empty if they are not text, as in leaves without meaning.
std::string signature(const Registers& registers) {
  char text[12];
  std::memcpy(text, &registers.ebx, 4);
  std::memcpy(text + 4, &registers.ecx, 4);
  std::memcpy(text + 8, &registers.edx, 4);
  std::size_t size = sizeof text;
  while (size != 0 && text[size - 1] == '\0') --size;
  for (std::size_t i = 0; i < size; ++i) {
    if (text[i] < ' ' || text[i] > '~') return {};
  }
  return std::string(text, size);
}

}  // namespace

std::optional<Cpuid> read_cpuid() {
  Cpuid out;
  out.hypervisor = (leaf(1).ecx & kHypervisorBit) != 0;
  if (!out.hypervisor) return out;  // the other leaves are meaningless then
  for (unsigned step = 0; step < kSteps; ++step) {
    std::string text = signature(leaf(kFirstLeaf + step * kStep));
    if (!text.empty()) out.signatures.push_back(std::move(text));
  }
  return out;
}
#else
std::optional<Cpuid> read_cpuid() { return std::nullopt; }
#endif

}  // namespace numapool
