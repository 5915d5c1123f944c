// Pressure stall information: parsing, and the trigger's one write.
#include "platform/linux/pressure/psi.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/linux/files/kept_file.hpp"

namespace numapool::platform {
namespace {

std::optional<std::uint64_t> total_of(std::string_view text, std::string_view line) noexcept {
  std::size_t at = text.find(line);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at);
  text = text.substr(0, text.find('\n'));
  at = text.find("total=");
  if (at == std::string_view::npos) return std::nullopt;
  return leading_number(text.substr(at + 6));
}

}  // namespace

std::optional<PsiTotals> parse_psi(std::string_view text) noexcept {
  const auto some = total_of(text, "some ");
  if (!some) return std::nullopt;
  return PsiTotals{*some, total_of(text, "full ").value_or(0)};
}

PsiFile::PsiFile(PsiFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::move(other.fd_)),
      writable_(std::exchange(other.writable_, false)),
      armed_(std::exchange(other.armed_, false)) {}

PsiFile& PsiFile::operator=(PsiFile&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    fd_ = std::move(other.fd_);
    writable_ = std::exchange(other.writable_, false);
    armed_ = std::exchange(other.armed_, false);
  }
  return *this;
}

void PsiFile::close() noexcept {
  fd_.close();
  armed_ = false;
}

std::string PsiFile::open(const std::string& path) {
  close();
  path_ = path;
  int fd = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  writable_ = fd >= 0;
  if (fd < 0) fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return std::string("cannot be opened: ") + std::strerror(errno);
  fd_ = KeptDescriptor(fd);
  errno = 0;
  if (read()) return {};
  const int code = errno;
  close();
  if (code == EOPNOTSUPP) return "the kernel has it switched off (psi=1 on its command line)";
  return code != 0 ? std::string("cannot be read: ") + std::strerror(code)
                   : std::string("holds no totals");
}

int PsiFile::arm(std::uint32_t stall_us, std::uint32_t window_us) noexcept {
  if (!writable_) return EACCES;
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "some %u %u", stall_us, window_us) + 1;  // its \0 too
  if (::write(fd_.get(), text.data(), static_cast<std::size_t>(length)) < 0) return errno;
  armed_ = true;
  return 0;
}

std::optional<PsiTotals> PsiFile::read() noexcept {
  std::array<char, 512> text{};
  const ssize_t got = ::pread(fd_.get(), text.data(), text.size(), 0);
  if (got <= 0) return std::nullopt;
  return parse_psi({text.data(), static_cast<std::size_t>(got)});
}

}  // namespace numapool::platform
