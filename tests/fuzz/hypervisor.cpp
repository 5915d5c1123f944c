// Fuzzes what firmware and a kernel tell of a hypervisor: DMI strings, the device tree, sysinfo.
#include "numapool/host.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "fuzz.hpp"
#include "platform/host.hpp"

using namespace numapool;

namespace {

constexpr std::array<const char*, 4> kFiles{
    "sys/class/dmi/id/product_name", "sys/class/dmi/id/sys_vendor", "proc/sysinfo", "proc/cpuinfo"};

// A root of our own, in memory where there is such a file system.
const std::string& root() {
  static const std::string path = [] {
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm/numapool-fuzz-XXXXXX"
                                                     : "/tmp/numapool-fuzz-XXXXXX";
    fuzz::require(mkdtemp(name.data()) != nullptr, "a folder of our own");
    for (const char* const folder :
         {"/sys", "/sys/class", "/sys/class/dmi", "/sys/class/dmi/id", "/proc"}) {
      mkdir((name + folder).c_str(), 0700);
    }
    static std::string kept;
    kept = name;
    std::atexit([] {
      for (const char* const file : kFiles) unlink((kept + "/" + file).c_str());
      for (const char* const folder :
           {"/proc", "/sys/class/dmi/id", "/sys/class/dmi", "/sys/class", "/sys", ""}) {
        rmdir((kept + folder).c_str());
      }
    });
    return name;
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  for (const char* const file : kFiles) {
    const std::string_view part = fuzz::take(text);
    const int fd =
        open((root() + "/" + file).c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    fuzz::require(fd >= 0, "the file is there");
    fuzz::require(write(fd, part.data(), part.size()) == static_cast<ssize_t>(part.size()),
                  "written");
    close(fd);
  }
  const auto clues = platform::hypervisor_clues(root());
  fuzz::require(clues.ok(), "a readable tree is read");
  for (const auto& clue : clues.value()) {
    fuzz::require(clue.text.size() <= 256, "what is shown is short");
    for (const char c : clue.text) fuzz::require(c >= ' ' && c < 127, "and printable");
  }
  return 0;
}
