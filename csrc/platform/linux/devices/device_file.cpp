// Files, folders and device files: the device or the mount that each is on.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "platform/linux/devices/device_walk.hpp"

namespace numapool::platform {
namespace {

class Handle {
 public:
  explicit Handle(const std::string& path) noexcept
      : fd_(::open(path.c_str(), O_PATH | O_CLOEXEC)) {}
  ~Handle() {
    if (fd_ >= 0) close(fd_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

std::string kind_of(mode_t mode) {
  if (S_ISBLK(mode) || S_ISCHR(mode)) return "device file";
  return S_ISDIR(mode) ? "folder" : "file";
}

// "mnt_id:\t27" of proc_pid_fdinfo(5): unlike the device number, right for every file system.
std::optional<Mount> mount_of(const DeviceTree& tree, int fd) {
  constexpr std::string_view kKey = "mnt_id:";
  const auto text = tree.text("proc/self/fdinfo/" + std::to_string(fd));
  const std::size_t at = text ? text->find(kKey) : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  const std::size_t digits = text->find_first_not_of(" \t", at + kKey.size());
  if (digits == std::string::npos) return std::nullopt;
  std::uint64_t id = 0;
  std::from_chars(text->data() + digits, text->data() + text->size(), id);
  const auto mounts = tree.whole_text("proc/self/mountinfo");
  return mounts ? mount_of_id(*mounts, id) : std::nullopt;
}

// The absolute path behind an open file, without links.
std::string path_of(int fd) {
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  return length <= 0 ? std::string{} : std::string(target.data(), static_cast<std::size_t>(length));
}

void walk_from(Walk& walk, int depth, int fd, const struct stat& status, const std::string& path) {
  if (S_ISBLK(status.st_mode)) {
    if (!walk_block_number(walk, depth, major(status.st_rdev), minor(status.st_rdev))) {
      walk.dead_end(path + " is no block device that sysfs shows");
    }
    return;
  }
  if (S_ISCHR(status.st_mode)) {
    walk_char_number(walk, depth, major(status.st_rdev), minor(status.st_rdev), path);
    return;
  }
  // Major 0 is for file systems without a block device, or with several.
  if (major(status.st_dev) != 0 &&
      walk_block_number(walk, depth, major(status.st_dev), minor(status.st_dev))) {
    return;
  }
  const auto mount = mount_of(walk.tree, fd);
  if (!mount) {
    walk.dead_end("the file system of " + path + " is not in /proc/self/mountinfo");
    return;
  }
  const std::string whole = path_of(fd);
  walk_mount(walk, depth, *mount, below(whole, mount->point).value_or(std::string_view{}));
}

bool walk_live(Walk& walk, int depth, const std::string& path, int& code) {
  const Handle handle(path);
  struct stat status{};
  if (handle.fd() < 0 || fstat(handle.fd(), &status) != 0) {
    code = errno;
    return false;
  }
  const bool is_new = walk.enter(depth, step_of(kind_of(status.st_mode), path), "path " + path);
  if (is_new) walk_from(walk, depth + 1, handle.fd(), status, path);
  return true;
}

// The path without links, as those in the tree lead; it need not exist. Absolute targets start at
// the tree's root, and ".." ends there.
std::string resolved(const DeviceTree& tree, std::string rest) {
  constexpr int kMostLinks = 40;  // as of the kernel (path_resolution(7))
  int links = 0;
  std::string out;  // without a leading slash
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('/'), rest.size());
    const std::string part = rest.substr(0, length);
    rest.erase(0, length + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      out.resize(parent_of(out).size());
      continue;
    }
    const std::string next = out.empty() ? part : out + "/" + part;
    const auto target = links < kMostLinks ? tree.target(next) : std::nullopt;
    if (!target) {
      out = next;
      continue;
    }
    ++links;
    if (target->starts_with('/')) out.clear();
    rest = *target + "/" + rest;
  }
  return "/" + out;
}

// Another machine's tree has no files to ask: where its mounts are decides.
bool walk_copied(Walk& walk, int depth, const std::string& asked, int& code) {
  const std::string path = resolved(walk.tree, asked);
  const auto text = walk.tree.whole_text("proc/self/mountinfo");
  const auto mount = text ? mount_of_path(*text, path) : std::nullopt;
  const bool is_device =
      path.starts_with("/dev/") && (!mount || mount->point == "/" || mount->point == "/dev");
  if (is_device) {
    code = ENOENT;
    return walk_name(walk, depth, path.substr(5));
  }
  if (path.starts_with("/sys/")) {
    code = ENOENT;
    const auto device = walk.tree.real(path.substr(1));
    if (!device) return false;
    if (walk.enter(depth, step_of("folder", path), "path " + path)) {
      walk_in_sysfs(walk, depth + 1, *device);
    }
    return true;
  }
  if (!walk.enter(depth, step_of("file", path), "path " + path)) return true;
  if (!mount) {
    walk.dead_end("there are no mounts in " + walk.tree.shown("proc/self/mountinfo"));
  } else if (mount->major == 0 || !walk_block_number(walk, depth + 1, mount->major, mount->minor)) {
    walk_mount(walk, depth + 1, *mount, below(path, mount->point).value_or(std::string_view{}));
  }
  return true;
}

}  // namespace

bool walk_path(Walk& walk, int depth, const std::string& path, int& code) {
  return walk.tree.live() ? walk_live(walk, depth, path, code)
                          : walk_copied(walk, depth, path, code);
}

void walk_in_sysfs(Walk& walk, int depth, const std::string& path) {
  std::string device = path;
  while (!device.empty() && !walk.tree.has(device + "/subsystem")) {
    device.resize(parent_of(device).size());
  }
  if (device.empty()) {
    walk.dead_end("/" + path + " belongs to no device");
  } else {
    walk_device(walk, depth, device);
  }
}

}  // namespace numapool::platform
