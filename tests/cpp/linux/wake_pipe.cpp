// Pipes that wake a thread, each by one descriptor.
#include "platform/linux/files/wake_pipe.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <initializer_list>

#include "platform/linux/files/kept_descriptor.hpp"

namespace numapool::platform {
namespace {

bool is_filled(int fd) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
}

}  // namespace

TEST_CASE("a wake pipe is filled once or often, and emptied at once") {
  const int fd = open_wake_pipe();
  REQUIRE(fd >= 0);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_FALSE(is_filled(fd));
  empty_wake_pipe(fd);                            // it does not wait
  for (const int times : {1, 3, 600, 100'000}) {  // of so many, most find it full
    for (int i = 0; i < times; ++i) fill_wake_pipe(fd);
    CHECK(is_filled(fd));
    empty_wake_pipe(fd);
    CHECK_FALSE(is_filled(fd));
  }
  close(fd);
}

TEST_CASE("a wake pipe is told from another one") {
  KeptDescriptor mine(open_wake_pipe());
  const int number = mine.number();
  REQUIRE(number >= 0);
  CHECK(mine.get() == number);
  const int other = open_wake_pipe();
  REQUIRE(dup3(other, number, O_CLOEXEC) == number);
  close(other);
  CHECK(mine.get() == -1);
  CHECK(mine.lost());
  CHECK(fcntl(number, F_GETFD) >= 0);
  close(number);
}

TEST_CASE("a wake pipe can be had while one descriptor is left") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next = dup(0);
  REQUIRE(next >= 0);
  close(next);
  for (const rlim_t left : {1, 2, 3}) {
    const rlimit few{static_cast<rlim_t>(next) + left, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
    const int fd = open_wake_pipe();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CAPTURE(left);
    REQUIRE(fd >= 0);
    fill_wake_pipe(fd);
    fill_wake_pipe(fd);
    CHECK(is_filled(fd));
    empty_wake_pipe(fd);
    CHECK_FALSE(is_filled(fd));
    close(fd);
  }
}

}  // namespace numapool::platform
