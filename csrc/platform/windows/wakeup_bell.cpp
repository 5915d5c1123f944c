// The monotonic clock, and a bell that a loop over sockets can wait for: a pair of them.
#include <winsock2.h>
#include <ws2tcpip.h>
// After winsock2.h, which must come before windows.h.
#include "platform/pressure.hpp"
#include "platform/windows/api.hpp"

namespace numapool::platform {
namespace {

// Windows' select() accepts only sockets, so the bell is a local datagram socket that is connected
// to itself: sending makes it readable.
SOCKET make_bell() noexcept {
  static const bool started = [] {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data) == 0;
  }();
  if (!started) return INVALID_SOCKET;
  const SOCKET made = ::WSASocketW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, nullptr, 0,
                                   WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  if (made == INVALID_SOCKET) return made;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  int length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  u_long nonblocking = 1;
  // Connected, it takes nothing from any other socket.
  if (::bind(made, generic, length) == 0 && ::getsockname(made, generic, &length) == 0 &&
      ::connect(made, generic, length) == 0 && ::ioctlsocket(made, FIONBIO, &nonblocking) == 0) {
    return made;
  }
  ::closesocket(made);
  return INVALID_SOCKET;
}

// Handles are small numbers on 64-bit Windows too: 32 bits hold them.
SOCKET socket_of(int descriptor) noexcept { return static_cast<SOCKET>(descriptor); }

}  // namespace

std::uint64_t monotonic_ns() noexcept {
  static const auto frequency = [] {
    LARGE_INTEGER ticks;
    ::QueryPerformanceFrequency(&ticks);
    return static_cast<std::uint64_t>(ticks.QuadPart);
  }();
  LARGE_INTEGER now;
  ::QueryPerformanceCounter(&now);
  const auto ticks = static_cast<std::uint64_t>(now.QuadPart);
  constexpr std::uint64_t kSecond = 1'000'000'000;
  return ticks / frequency * kSecond + ticks % frequency * kSecond / frequency;
}

Bell::Bell() {
  const SOCKET made = make_bell();
  descriptor_ = made == INVALID_SOCKET ? -1 : static_cast<int>(made);
}

Bell::~Bell() {
  if (descriptor_ >= 0) ::closesocket(socket_of(descriptor_));
}

void Bell::ring() const noexcept {
  const char one = 1;
  if (descriptor_ >= 0) ::send(socket_of(descriptor_), &one, 1, 0);
}

void Bell::quiet() const noexcept {
  char rung = 0;
  while (descriptor_ >= 0 && ::recv(socket_of(descriptor_), &rung, 1, 0) > 0) {
  }
}

}  // namespace numapool::platform
