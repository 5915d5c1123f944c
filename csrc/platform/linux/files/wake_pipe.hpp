// A pipe that one descriptor both fills and empties: it wakes a thread that waits in poll(2).
//
// Unlike an eventfd, which shares its inode with all others, a pipe has one of its own. So
// fstat(2) alone tells it from what the program may have opened under its number; of an eventfd
// only a file below /proc does, which takes ten times as long.
#pragma once

namespace numapool::platform {

// -1 with errno if no descriptor is left. Neither filling nor emptying it waits.
[[nodiscard]] int open_wake_pipe() noexcept;
// poll(2) then says that it can be read. One that is full stays as it is.
void fill_wake_pipe(int fd) noexcept;
void empty_wake_pipe(int fd) noexcept;

}  // namespace numapool::platform
