// A descriptor that stays open, and is used or closed only while it still refers to the same file.
//
// A program may close every descriptor that it does not know (daemons and close_range(2) do) and
// open other files under the same numbers. So the number alone proves nothing; the file behind it
// does.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace numapool::platform {

// The identity of the file behind a descriptor, by fstat(2) and /proc/self/fdinfo.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::uint64_t event = 0;  // of an eventfd: all of them share one inode
};
[[nodiscard]] Identity identity_of(int fd) noexcept;
[[nodiscard]] bool still_is(int fd, const Identity& identity) noexcept;

// Not thread-safe. Another thread that closes the number between ours() and its use is not noticed.
class KeptDescriptor {
 public:
  KeptDescriptor() noexcept = default;
  // Takes over `fd`; a negative one means: no descriptor.
  explicit KeptDescriptor(int fd) noexcept;
  ~KeptDescriptor() { close(); }
  KeptDescriptor(KeptDescriptor&& other) noexcept;
  KeptDescriptor& operator=(KeptDescriptor&& other) noexcept;
  KeptDescriptor(const KeptDescriptor&) = delete;
  KeptDescriptor& operator=(const KeptDescriptor&) = delete;

  // The descriptor, if it still refers to the opened file. Otherwise -1, and the number is
  // forgotten, as it is closed or in use by other code.
  [[nodiscard]] int get() noexcept;
  // Whether one was taken over and neither closed nor lost, as far as is known.
  [[nodiscard]] bool held() const noexcept { return fd_ >= 0; }
  // Whether get() found that it is gone, since it was taken over.
  [[nodiscard]] bool lost() const noexcept { return lost_; }
  // The number, without a check of the file behind it.
  [[nodiscard]] int number() const noexcept { return fd_; }
  // Closes the opened file. If the number now refers to another file, that one is left alone.
  void close() noexcept;

 private:
  int fd_ = -1;
  bool lost_ = false;
  Identity identity_;
};

}  // namespace numapool::platform
