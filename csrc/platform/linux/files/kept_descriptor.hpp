// A descriptor that is kept, and is used or closed only while it still is what was opened.
//
// A program may close every descriptor that it does not know (daemons do, and close_range(2)) and
// open others under the same numbers. So a number that was kept proves nothing: the file behind it
// does.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace numapool::platform {

// What is behind a descriptor, as far as fstat(2) and /proc/self/fdinfo tell it.
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

  // The descriptor if it still is what was opened. Else -1, and the number is forgotten: it belongs
  // to someone else, or to nobody.
  [[nodiscard]] int get() noexcept;
  // Whether one was taken over and neither closed nor lost, as far as is known.
  [[nodiscard]] bool held() const noexcept { return fd_ >= 0; }
  // Whether get() found that it is gone, since it was taken over.
  [[nodiscard]] bool lost() const noexcept { return lost_; }
  // The number, without a look at what is behind it.
  [[nodiscard]] int number() const noexcept { return fd_; }
  // Closes what was opened; leaves alone what took its place.
  void close() noexcept;

 private:
  int fd_ = -1;
  bool lost_ = false;
  Identity identity_;
};

}  // namespace numapool::platform
