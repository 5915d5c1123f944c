// Identifies the hypervisor from CPUID and files, the most reliable evidence first.
#include <algorithm>
#include <array>
#include <string_view>

#include "numapool/error.hpp"
#include "numapool/host.hpp"
#include "platform/host.hpp"

namespace numapool {
namespace {

using platform::Clue;
using platform::ClueKind;

constexpr const char* kUnknown = "unknown";

struct Name {
  std::string_view text;
  const char* kind;
};

// Signatures as their vendors document them, without surrounding blanks and NULs.
constexpr std::array kSignatures{
    Name{"KVMKVMKVM", "kvm"},           Name{"Linux KVM Hv", "kvm"},
    Name{"TCGTCGTCGTCG", "qemu"},       Name{"VMwareVMware", "vmware"},
    Name{"XenVMMXenVMM", "xen"},        Name{"bhyve bhyve", "bhyve"},
    Name{"ACRNACRNACRN", "acrn"},       Name{"QNXQVMBSQG", "qnx"},
    Name{"VBoxVBoxVBox", "virtualbox"}, Name{"prl hyperv", "parallels"},
    Name{"lrpepyh vr", "parallels"},
};
// QEMU, KVM, Xen and VirtualBox show it as well, for Windows guests: so it counts last.
constexpr std::string_view kHypervSignature = "Microsoft Hv";

// By the start of DMI texts. They are more reliable than CPUID, which may show the product's base,
// or the hypervisor that a guest should see.
constexpr std::array kFirstVendors{
    Name{"innotek GmbH", "virtualbox"},
    Name{"Xen", "xen"},
    Name{"Amazon EC2", "amazon"},
    Name{"Parallels", "parallels"},
};
constexpr std::array kFirstProducts{
    Name{"VirtualBox", "virtualbox"},
    Name{"Parallels Virtual Platform", "parallels"},
    Name{"Google Compute Engine", "google"},  // "Google" alone also makes laptops
};
constexpr std::array kVendors{
    Name{"QEMU", "qemu"},
    Name{"VMware", "vmware"},
    Name{"Bochs", "qemu"},
    Name{"BHYVE", "bhyve"},
};
constexpr std::array kProducts{
    Name{"QEMU", "qemu"},
    Name{"VMware", "vmware"},
    Name{"KVM", "kvm"},
    Name{"KubeVirt", "kvm"},
    Name{"RHEV Hypervisor", "kvm"},
    Name{"BHYVE", "bhyve"},
    Name{"OpenStack", kUnknown},
    Name{"Apple Virtualization", "apple"},
    Name{"VirtualMac", "apple"},
};

std::string_view stripped(std::string_view text) noexcept {
  constexpr std::string_view kBlank(" \0", 2);
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

template <std::size_t N>
const char* named_at_start(const std::array<Name, N>& names, std::string_view text) noexcept {
  for (const Name& name : names) {
    if (text.starts_with(name.text)) return name.kind;
  }
  return nullptr;
}

// The kind, and the evidence that decided it.
struct Verdict {
  const char* kind = nullptr;
  std::size_t evidence = 0;
};

class Case {
 public:
  Case(std::vector<Clue> clues, std::optional<Cpuid> cpuid)
      : clues_(std::move(clues)), cpuid_(std::move(cpuid)) {
    for (const Clue& clue : clues_) {
      evidence_.push_back(clue.text.empty() ? clue.where : clue.where + ": " + clue.text);
    }
    if (!cpuid_) return;
    evidence_.push_back(cpuid_->hypervisor ? "CPUID: a hypervisor is present"
                                           : "CPUID: no hypervisor is present");
    for (const std::string& text : cpuid_->signatures) {
      evidence_.push_back("CPUID signature: " + text);
    }
  }

  [[nodiscard]] Hypervisor decide() {
    Hypervisor out;
    Verdict verdict;
    for (const Step step : kSteps) {
      verdict = (this->*step)();
      if (verdict.kind != nullptr) break;
    }
    if (verdict.kind != nullptr) {
      out.kind = verdict.kind;
      out.vendor_signature = signature_for(verdict);
      if (const Clue* const product = first(ClueKind::kProduct)) out.product = product->text;
      std::rotate(evidence_.begin(),
                  evidence_.begin() + static_cast<std::ptrdiff_t>(verdict.evidence),
                  evidence_.begin() + static_cast<std::ptrdiff_t>(verdict.evidence) + 1);
    }
    out.evidence = std::move(evidence_);
    return out;
  }

 private:
  using Step = Verdict (Case::*)() const;
  static const std::array<Step, 9> kSteps;

  [[nodiscard]] const Clue* first(ClueKind kind) const noexcept {
    const auto found = std::find_if(clues_.begin(), clues_.end(),
                                    [&](const Clue& clue) { return clue.kind == kind; });
    return found == clues_.end() ? nullptr : &*found;
  }
  [[nodiscard]] Verdict because(const Clue& clue, const char* kind) const noexcept {
    return {kind, static_cast<std::size_t>(&clue - clues_.data())};
  }
  [[nodiscard]] std::size_t evidence_of_signature(std::size_t index) const noexcept {
    return clues_.size() + 1 + index;
  }

  template <std::size_t N, std::size_t M>
  [[nodiscard]] Verdict by_names(const std::array<Name, N>& products,
                                 const std::array<Name, M>& vendors) const noexcept {
    for (const Clue& clue : clues_) {
      const char* kind = nullptr;
      if (clue.kind == ClueKind::kProduct) kind = named_at_start(products, clue.text);
      if (clue.kind == ClueKind::kVendor) kind = named_at_start(vendors, clue.text);
      if (kind != nullptr) return because(clue, kind);
    }
    return {};
  }

  // Clouds rent out bare metal under the same names. If CPUID is available, it decides; Amazon's
  // product name ends in ".metal" or ".metal-48xl".
  [[nodiscard]] Verdict by_first_dmi() const {
    const Verdict verdict = by_names(kFirstProducts, kFirstVendors);
    const std::string_view kind = verdict.kind == nullptr ? "" : verdict.kind;
    if (kind != "amazon" && kind != "google") return verdict;
    const Clue* const product = first(ClueKind::kProduct);
    const bool metal = product != nullptr && product->text.find(".metal") != std::string::npos;
    const bool flag = first(ClueKind::kHypervisorFlag) != nullptr || (cpuid_ && cpuid_->hypervisor);
    const bool clear =
        first(ClueKind::kNoHypervisorFlag) != nullptr || (cpuid_ && !cpuid_->hypervisor);
    return !flag && (metal || clear) ? Verdict{} : verdict;
  }

  [[nodiscard]] Verdict by_signature() const noexcept {
    if (!cpuid_ || !cpuid_->hypervisor) return {};
    for (std::size_t i = 0; i < cpuid_->signatures.size(); ++i) {
      for (const Name& name : kSignatures) {
        if (stripped(cpuid_->signatures[i]) == name.text) {
          return {name.kind, evidence_of_signature(i)};
        }
      }
    }
    return {};
  }

  [[nodiscard]] Verdict by_xen() const noexcept {
    if (const Clue* const type = first(ClueKind::kHypervisorType)) {
      return because(*type, type->text == "xen" ? "xen" : kUnknown);
    }
    if (const Clue* const folder = first(ClueKind::kXen)) return because(*folder, "xen");
    return {};
  }

  [[nodiscard]] Verdict by_dmi() const noexcept {
    const Verdict verdict = by_names(kProducts, kVendors);
    if (verdict.kind != nullptr) return verdict;
    const Clue* const version = first(ClueKind::kVersion);
    if (version != nullptr && version->text.starts_with("Hyper-V"))
      return because(*version, "hyperv");
    const Clue* const product = first(ClueKind::kProduct);
    // On Microsoft's laptops, the vendor is the same, but not the product.
    if (product == nullptr || product->text != "Virtual Machine") return {};
    for (const Clue& clue : clues_) {
      if (clue.kind == ClueKind::kVendor && clue.text.starts_with("Microsoft Corporation")) {
        return because(*product, "hyperv");
      }
    }
    return {};
  }

  [[nodiscard]] Verdict by_device_tree() const noexcept {
    if (const Clue* const node = first(ClueKind::kDeviceTree)) {
      constexpr std::array kNames{Name{"linux,kvm", "kvm"}, Name{"xen", "xen"},
                                  Name{"vmware", "vmware"}};
      for (const Name& name : kNames) {
        if (node->text.find(name.text) != std::string::npos) return because(*node, name.kind);
      }
      return because(*node, kUnknown);
    }
    if (const Clue* const device = first(ClueKind::kFirmwareConfig))
      return because(*device, "qemu");
    for (const Clue& clue : clues_) {
      if (clue.kind != ClueKind::kMachine) continue;
      if (clue.text.find("qemu") != std::string::npos) return because(clue, "qemu");
      // The virtual machine type that QEMU, Firecracker, crosvm and others use on Arm.
      if (clue.text.find("linux,dummy-virt") != std::string::npos) return because(clue, kUnknown);
    }
    if (const Clue* const name = first(ClueKind::kPartition)) return because(*name, "powervm");
    return {};
  }

  [[nodiscard]] Verdict by_mainframe() const noexcept {
    const Clue* const program = first(ClueKind::kControlProgram);
    if (program == nullptr) return {};
    if (program->text.starts_with("z/VM")) return because(*program, "zvm");
    return because(*program, program->text.starts_with("KVM/Linux") ? "kvm" : kUnknown);
  }

  [[nodiscard]] Verdict by_release() const noexcept {
    const Clue* const release = first(ClueKind::kKernelRelease);
    return release == nullptr ? Verdict{} : because(*release, "wsl");
  }

  [[nodiscard]] Verdict by_hyperv_signature() const noexcept {
    if (!cpuid_ || !cpuid_->hypervisor) return {};
    for (std::size_t i = 0; i < cpuid_->signatures.size(); ++i) {
      if (stripped(cpuid_->signatures[i]) == kHypervSignature) {
        return {"hyperv", evidence_of_signature(i)};
      }
    }
    return {};
  }

  [[nodiscard]] Verdict by_flag() const noexcept {
    if (cpuid_ && cpuid_->hypervisor) return {kUnknown, clues_.size()};
    const Clue* const flag = first(ClueKind::kHypervisorFlag);
    return flag == nullptr ? Verdict{} : because(*flag, kUnknown);
  }

  // The decisive one, else the first that is not an imitation, else the first.
  [[nodiscard]] std::string signature_for(const Verdict& verdict) const {
    if (!cpuid_ || cpuid_->signatures.empty()) return {};
    const auto& all = cpuid_->signatures;
    if (verdict.evidence >= evidence_of_signature(0)) {
      return all[verdict.evidence - evidence_of_signature(0)];
    }
    const auto honest = std::find_if(all.begin(), all.end(), [](const std::string& text) {
      return stripped(text) != kHypervSignature;
    });
    return honest == all.end() ? all.front() : *honest;
  }

  std::vector<Clue> clues_;
  std::optional<Cpuid> cpuid_;
  std::vector<std::string> evidence_;  // evidence of each clue; then CPUID's bit and signatures
};

// The most reliable first.
const std::array<Case::Step, 9> Case::kSteps{
    &Case::by_first_dmi, &Case::by_signature,        &Case::by_xen,
    &Case::by_dmi,       &Case::by_device_tree,      &Case::by_mainframe,
    &Case::by_release,   &Case::by_hyperv_signature, &Case::by_flag,
};

}  // namespace

Hypervisor detect_hypervisor(const std::string& root, const std::optional<Cpuid>& cpuid) {
  std::optional<Cpuid> known = cpuid;
  if (!known && root == "/") known = read_cpuid();
  auto clues = platform::hypervisor_clues(root);
  if (!clues) {
    const platform::Failure& failure = clues.failure();
    const bool unsupported = failure.cause == platform::Cause::kUnsupported;
    if (!unsupported || !known) {
      throw Error(unsupported ? ErrorKind::kUnsupported : ErrorKind::kSystem,
                  "cannot look for a hypervisor: " + describe(failure), failure.code);
    }
    return Case({}, std::move(known)).decide();
  }
  // CPUID itself is better evidence than the flag that the kernel derived from it.
  if (known) {
    std::erase_if(clues.value(), [](const Clue& clue) {
      return clue.kind == ClueKind::kHypervisorFlag || clue.kind == ClueKind::kNoHypervisorFlag;
    });
  }
  return Case(std::move(clues).value(), std::move(known)).decide();
}

}  // namespace numapool
