// The descriptor behind a FileHandle.
#pragma once

#include "platform/linux/files/kept_descriptor.hpp"
#include "platform/storage.hpp"

namespace numapool::platform {

// A handle points to this: a program that closes descriptors that it does not know, and opens
// others under their numbers, must not have those read, written or closed by us.
struct OpenDescriptor {
  int fd = -1;
  Identity identity;
};

// -1, which every call answers with EBADF, where the file behind the number is another.
[[nodiscard]] inline int descriptor(FileHandle handle) noexcept {
  const auto* const open = reinterpret_cast<const OpenDescriptor*>(handle);
  return still_is(open->fd, open->identity) ? open->fd : -1;
}

}  // namespace numapool::platform
