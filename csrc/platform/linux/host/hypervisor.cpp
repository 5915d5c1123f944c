// Reads the files of a Linux system that identify its hypervisor: DMI, Xen, device tree, sysinfo,
// WSL.
#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "platform/host.hpp"
#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/id_list.hpp"

namespace numapool::platform {
namespace {

constexpr std::size_t kLongestText = 256;

constexpr std::array<std::pair<ClueKind, const char*>, 5> kDmi{{
    {ClueKind::kProduct, "sys/class/dmi/id/product_name"},
    {ClueKind::kVendor, "sys/class/dmi/id/sys_vendor"},
    {ClueKind::kVendor, "sys/class/dmi/id/board_vendor"},
    {ClueKind::kVendor, "sys/class/dmi/id/bios_vendor"},
    {ClueKind::kVersion, "sys/class/dmi/id/product_version"},
}};

// Printable, on one line, and short: firmware may write anything. The strings of a device tree's
// list, parted by NUL, are parted by blanks.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : trimmed(text).substr(0, kLongestText)) {
    if (c == '\0' || c == '\n') {
      out += ' ';
    } else {
      out += c >= ' ' && c < 127 ? c : '?';
    }
  }
  return out;
}

class Clues {
 public:
  explicit Clues(const Folder& root) : root_(root) {}

  void add(ClueKind kind, const char* file, std::string_view text) {
    found.push_back(Clue{kind, root_.path_to(file), plain(text)});
  }
  // The whole text of a file that has one.
  void add_file(ClueKind kind, const char* file) {
    const auto text = root_.read(file);
    if (text && !trimmed(*text).empty()) add(kind, file, *text);
  }
  void add_xen() {
    if (!root_.folder("proc/xen").ok()) return;
    const auto capabilities = root_.read("proc/xen/capabilities");
    const bool control = capabilities && capabilities->find("control_d") != std::string_view::npos;
    add(ClueKind::kXen, "proc/xen", control ? "control_d" : "");
  }
  // A node of the device tree; with ACPI the driver shows the device. Its folder alone says
  // nothing.
  void add_firmware_config() {
    constexpr const char* kDevice = "sys/firmware/qemu_fw_cfg/rev";
    constexpr const char* kTree = "proc/device-tree";
    if (root_.read(kDevice)) add(ClueKind::kFirmwareConfig, kDevice, "");
    const Folder tree = root_.folder(kTree);
    if (!tree.ok()) return;
    for (const std::string& name : tree.names()) {
      if (name.starts_with("fw-cfg")) add(ClueKind::kFirmwareConfig, kTree, name);
    }
  }
  // "VM00 Control Program: z/VM    7.2.0": the innermost of nested ones is VM00.
  void add_control_program() {
    const auto text = root_.read("proc/sysinfo");
    constexpr std::string_view kKey = "VM00 Control Program:";
    const std::size_t at = text ? text->find(kKey) : std::string_view::npos;
    if (at == std::string_view::npos) return;
    const std::string_view rest = text->substr(at + kKey.size());
    add(ClueKind::kControlProgram, "proc/sysinfo", rest.substr(0, rest.find('\n')));
  }
  void add_release() {
    const auto text = root_.read("proc/sys/kernel/osrelease");
    if (!text) return;
    for (const std::string_view name : {"Microsoft", "microsoft", "WSL"}) {
      if (text->find(name) == std::string_view::npos) continue;
      add(ClueKind::kKernelRelease, "proc/sys/kernel/osrelease", *text);
      return;
    }
  }
  void add_flags() {
    const auto text = root_.read("proc/cpuinfo");
    const std::size_t at = text ? text->find("\nflags") : std::string_view::npos;
    if (at == std::string_view::npos) return;
    std::string_view line = text->substr(at + 1);
    line = line.substr(0, line.find('\n'));
    constexpr std::string_view kFlag = " hypervisor";
    const std::size_t flag = line.find(kFlag);
    const bool set = flag != std::string_view::npos &&
                     (flag + kFlag.size() == line.size() || line[flag + kFlag.size()] == ' ');
    add(set ? ClueKind::kHypervisorFlag : ClueKind::kNoHypervisorFlag, "proc/cpuinfo",
        set ? "flag hypervisor" : "no flag hypervisor");
  }

  std::vector<Clue> found;

 private:
  const Folder& root_;
};

}  // namespace

Result<std::vector<Clue>> hypervisor_clues(const std::string& root_path) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  Clues clues(root);
  for (const auto& [kind, file] : kDmi) clues.add_file(kind, file);
  clues.add_file(ClueKind::kHypervisorType, "sys/hypervisor/type");
  clues.add_xen();
  clues.add_file(ClueKind::kDeviceTree, "proc/device-tree/hypervisor/compatible");
  clues.add_file(ClueKind::kMachine, "proc/device-tree/compatible");
  clues.add_file(ClueKind::kMachine, "proc/device-tree/model");
  clues.add_firmware_config();
  clues.add_file(ClueKind::kPartition, "proc/device-tree/ibm,partition-name");
  clues.add_control_program();
  clues.add_release();
  if (root_path != "/") clues.add_flags();
  return std::move(clues.found);
}

}  // namespace numapool::platform
