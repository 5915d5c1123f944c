// Descriptors that are kept, in a program that closes them and opens others under their numbers.
#include "platform/linux/files/kept_descriptor.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/linux/files/kept_file.hpp"
#include "platform/pressure.hpp"
#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

// Puts something else under the number, as a program does that closed it and opened a file. In one
// step: other threads of the tests may open files too.
void take_over(int number, int other) {
  REQUIRE(dup3(other, number, O_CLOEXEC) == number);
  close(other);
}

}  // namespace

TEST_CASE("a descriptor is used and closed while it is ours") {
  KeptDescriptor kept(open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
  const int number = kept.get();
  REQUIRE(number >= 0);
  kept.close();
  CHECK_FALSE(is_open(number));
  CHECK(kept.get() == -1);
  CHECK(KeptDescriptor().get() == -1);
}

TEST_CASE("what took the number of a kept descriptor is neither used nor closed") {
  for (const int other :
       {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        open("/proc/self/status", O_RDONLY | O_CLOEXEC), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}) {
    REQUIRE(other >= 0);
    KeptDescriptor file(open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
    const int number = file.number();
    take_over(number, other);
    CHECK(file.get() == -1);
    file.close();
    CHECK(is_open(number));
    close(number);
  }
}

TEST_CASE("an eventfd is told from another eventfd") {
  KeptDescriptor bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  CHECK(bell.get() == bell.number());
  const int number = bell.number();
  take_over(number, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  CHECK(bell.get() == -1);
  CHECK(is_open(number));
  close(number);
}

TEST_CASE("a kept file is opened anew where its number was taken") {
  TemporaryTree tree;
  tree.file("a", "1\n").file("b", "2\n");
  KeptFile file(tree.root() + "/a");
  REQUIRE(file.read() == "1\n");
  // The descriptor is the lowest that was free; find it by what it reads.
  const int mine = open((tree.root() + "/b").c_str(), O_RDONLY | O_CLOEXEC);
  const int number = file.number();
  take_over(number, mine);
  CHECK(file.read() == "1\n");
  CHECK(file.number() != number);
  CHECK(is_open(number));
  close(number);
  CHECK_FALSE(KeptFile(tree.root() + "/c").read());
}

TEST_CASE("a bell rings in nobody else's descriptor") {
  Bell bell;
  const int number = bell.descriptor();
  REQUIRE(number >= 0);
  bell.ring();
  bell.quiet();
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) == 0);
  take_over(number, pair[0]);
  REQUIRE(write(pair[1], "theirs", 6) == 6);
  bell.ring();
  bell.quiet();
  std::array<char, 16> text{};
  CHECK(read(pair[1], text.data(), text.size()) == -1);  // nothing was rung into it
  CHECK(read(number, text.data(), text.size()) == 6);    // and nothing taken out
  close(number);
  close(pair[1]);
}

}  // namespace numapool::platform
