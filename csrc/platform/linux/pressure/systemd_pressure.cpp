// The service manager's protocol for memory pressure.
#include "platform/linux/pressure/systemd_pressure.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace numapool::platform {
namespace {

int value_of(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

int connect_to(const std::string& path) noexcept {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  const int code = errno;
  ::close(fd);
  errno = code;
  return -1;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = value_of(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

ssize_t write_quietly(int fd, std::string_view bytes) noexcept {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return ::write(fd, bytes.data(), bytes.size());
}

std::string SystemdPressure::open(const char* watch, const char* write) {
  close();
  unwanted_ = false;
  if (watch == nullptr || *watch == '\0') return "$MEMORY_PRESSURE_WATCH is not set";
  path_ = watch;
  if (path_ == "/dev/null") {
    unwanted_ = true;
    return "$MEMORY_PRESSURE_WATCH asks not to watch";
  }
  if (path_.front() != '/') return "$MEMORY_PRESSURE_WATCH is no absolute path: " + path_;
  const auto because = [this](const char* what) {
    std::string words = std::string(what) + ": " + std::strerror(errno);
    close();
    return words;
  };
  std::optional<std::string> first;
  if (write != nullptr && *write != '\0') {
    first = decode_base64(write);
    if (!first) return "$MEMORY_PRESSURE_WRITE is no base64";
  }
  struct stat kind{};
  if (stat(path_.c_str(), &kind) != 0) return because("cannot be found");
  if (S_ISSOCK(kind.st_mode)) {
    fd_ = KeptDescriptor(connect_to(path_));
  } else if (S_ISREG(kind.st_mode) || S_ISFIFO(kind.st_mode)) {
    const int mode = first || S_ISFIFO(kind.st_mode) ? O_RDWR : O_RDONLY;
    fd_ = KeptDescriptor(::open(path_.c_str(), mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  } else {
    return "is neither a file, nor a FIFO, nor a socket";
  }
  if (!fd_.held()) return because("cannot be opened");
  // If another file has taken its number meanwhile, nothing is written to it.
  struct stat opened{};
  if (!S_ISSOCK(kind.st_mode) && (fstat(fd_.number(), &opened) != 0 ||
                                  opened.st_dev != kind.st_dev || opened.st_ino != kind.st_ino)) {
    close();
    return "changed while it was opened";
  }
  if (first && write_quietly(fd_.get(), *first) < 0)
    return because("refuses $MEMORY_PRESSURE_WRITE");
  poll_events_ = S_ISREG(kind.st_mode) ? POLLPRI : POLLIN;
  return {};
}

void SystemdPressure::close() noexcept { fd_.close(); }

bool SystemdPressure::take() noexcept {
  if (poll_events_ == POLLPRI) return fd_.get() >= 0;  // a pressure file re-arms itself
  std::array<char, 256> sent{};
  const int fd = fd_.get();
  while (fd >= 0) {
    const ssize_t got = ::read(fd, sent.data(), sent.size());
    if (got > 0) continue;
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  return false;
}

}  // namespace numapool::platform
