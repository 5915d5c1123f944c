// The monotonic clock, and an eventfd that rings.
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/pressure.hpp"

namespace numapool::platform {

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

namespace {

bool is_ours(int descriptor, const std::array<std::uint64_t, 3>& identity) noexcept {
  return still_is(descriptor, {identity[0], identity[1], identity[2]});
}

}  // namespace

Bell::Bell() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  const Identity identity = identity_of(descriptor_);
  identity_ = {identity.device, identity.inode, identity.event};
}

Bell::~Bell() {
  if (is_ours(descriptor_, identity_)) ::close(descriptor_);
}

void Bell::ring() const noexcept {
  if (!is_ours(descriptor_, identity_)) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor_, &one, sizeof(one)));
}

void Bell::quiet() const noexcept {
  if (!is_ours(descriptor_, identity_)) return;
  std::uint64_t rung = 0;
  static_cast<void>(!::read(descriptor_, &rung, sizeof(rung)));
}

}  // namespace numapool::platform
