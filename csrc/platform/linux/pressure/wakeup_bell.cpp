// The monotonic clock, and a pipe that rings.
#include <time.h>
#include <unistd.h>

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/linux/files/wake_pipe.hpp"
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

Bell::Bell() : descriptor_(open_wake_pipe()) {
  const Identity identity = identity_of(descriptor_);
  identity_ = {identity.device, identity.inode, identity.event};
}

Bell::~Bell() {
  if (is_ours(descriptor_, identity_)) ::close(descriptor_);
}

void Bell::ring() const noexcept {
  if (is_ours(descriptor_, identity_)) fill_wake_pipe(descriptor_);
}

void Bell::quiet() const noexcept {
  if (is_ours(descriptor_, identity_)) empty_wake_pipe(descriptor_);
}

}  // namespace numapool::platform
