// Files of this machine: what the kernel tells of direct I/O, transfers in pieces, and refusals.
#include "platform/storage.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "temporary_tree.hpp"

namespace numapool::platform {
namespace {

struct Folder : TemporaryTree {
  std::string file(const char* name, const std::string& text) {
    TemporaryTree::file(name, text);
    return path(name);
  }
  [[nodiscard]] std::string path(const char* name) const { return root() + "/" + name; }
};

// The descriptors of this process that are open on a file, or below a folder.
std::vector<int> numbers_of(const std::string& path) {
  std::vector<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry, gone).string();
    if (target == path || target.starts_with(path + "/"))
      numbers.push_back(std::stoi(entry.path().filename()));
  }
  return numbers;
}

}  // namespace

TEST_CASE_FIXTURE(Folder, "a file is opened twice or says why not") {
  const std::string name = file("held", "0123456789");
  const auto opened = open_file(name, {});
  REQUIRE(opened.ok());
  const OpenedFile& made = opened.value();
  CHECK(made.size_bytes == 10);
  CHECK((made.direct_handle == kNoFile) != made.why_not_direct.empty());
  CHECK(std::has_single_bit(made.memory_align));
  CHECK(std::has_single_bit(made.transfer_align));
  std::array<char, 4> first{};
  std::array<char, 3> second{};
  const std::array<Piece, 2> pieces{Piece{first.data(), 4}, Piece{second.data(), 3}};
  const IoResult got = read_at(made.handle, pieces, 2);
  CHECK(got.end == IoEnd::kDone);
  CHECK(got.bytes == 7);
  CHECK(std::string(first.data(), 4) + std::string(second.data(), 3) == "2345678");
  CHECK(read_at(made.handle, pieces, 10).bytes == 0);
  CHECK(read_at(made.handle, pieces, ~std::uint64_t{0}).code == EOVERFLOW);
  CHECK(write_at(made.handle, pieces, 0).code == EBADF);  // it is open for reading
  for (const FileHandle handle : {made.handle, made.direct_handle}) {
    if (handle != kNoFile) CHECK(close_handle(handle) == 0);
  }
}

TEST_CASE_FIXTURE(Folder,
                  "what took the number of an open file is neither read, written nor closed") {
  const auto opened = open_file(file("ours", "0123456789"), {});
  REQUIRE(opened.ok());
  // The program closes what it does not know, and opens another file under the same numbers.
  const int theirs = open(file("theirs", "abc").c_str(), O_RDWR | O_CLOEXEC);
  const std::vector<int> ours = numbers_of(path("ours"));
  REQUIRE_FALSE(ours.empty());
  for (const int number : ours) REQUIRE(dup3(theirs, number, O_CLOEXEC) == number);
  std::array<char, 4> room{};
  const Piece piece{room.data(), room.size()};
  CHECK(read_at(opened.value().handle, {&piece, 1}, 0).code == EBADF);
  CHECK(write_at(opened.value().handle, {&piece, 1}, 0).code == EBADF);
  CHECK(sync_data(opened.value().handle) == EBADF);
  for (const FileHandle handle : {opened.value().handle, opened.value().direct_handle}) {
    if (handle != kNoFile) CHECK(close_handle(handle) == EBADF);
  }
  for (const int number : ours) CHECK(close(number) == 0);
  CHECK(close(theirs) == 0);
}

TEST_CASE_FIXTURE(Folder, "a direct call that is not aligned is told apart from other failures") {
  const std::string name = file("held", std::string(8192, 'x'));
  const auto opened = open_file(name, {});
  REQUIRE(opened.ok());
  const OpenedFile& made = opened.value();
  if (made.direct_handle != kNoFile) {
    alignas(4096) static std::array<char, 4096> room;
    const Piece piece{room.data(), 100};
    CHECK(read_at(made.direct_handle, {&piece, 1}, 50).end == IoEnd::kMisaligned);
    CHECK(close_handle(made.direct_handle) == 0);
  }
  CHECK(close_handle(made.handle) == 0);
}

TEST_CASE_FIXTURE(Folder, "written, replaced, and made where it is not there") {
  const std::string name = file("held", "0123456789");
  CHECK(open_file(path("new"), {true, false, false, true}).failure().code == ENOENT);
  std::string text = "abc";
  const Piece piece{text.data(), text.size()};
  for (const bool truncate : {false, true}) {
    const auto opened = open_file(name, {true, true, truncate, false});
    REQUIRE(opened.ok());
    CHECK(opened.value().direct_handle == kNoFile);
    CHECK(write_at(opened.value().handle, {&piece, 1}, 1).bytes == 3);
    CHECK(sync_data(opened.value().handle) == 0);
    CHECK(close_handle(opened.value().handle) == 0);
    std::ifstream back(name);
    std::string now;
    std::getline(back, now);
    CHECK(now == (truncate ? std::string("\0abc", 4) : "0abc456789"));
  }
}

TEST_CASE_FIXTURE(Folder, "what is no file of bytes") {
  file("held", "");
  CHECK(open_file(path(""), {}).failure().code == EISDIR);
  CHECK(open_file(path("nowhere"), {}).failure().code == ENOENT);
  REQUIRE(mkfifo(path("pipe").c_str(), 0600) == 0);
  CHECK(open_file(path("pipe"), {}).failure().code == ESPIPE);
  const auto zero = open_file("/dev/zero", {});
  REQUIRE(zero.ok());
  CHECK(zero.value().size_bytes == 0);
  CHECK(zero.value().why_not_direct == "it is no regular file and no block device");
  CHECK(close_handle(zero.value().handle) == 0);
}

TEST_CASE_FIXTURE(Folder, "a pipe that takes a file's place is not waited for") {
  const std::string name = file("held", "0123456789");
  const std::string pipe = path("pipe");
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  if (renameat2(AT_FDCWD, name.c_str(), AT_FDCWD, pipe.c_str(), RENAME_EXCHANGE) != 0) return;
  std::atomic<bool> done{false};
  std::thread swaps([&] {
    while (!done.load()) renameat2(AT_FDCWD, name.c_str(), AT_FDCWD, pipe.c_str(), RENAME_EXCHANGE);
  });
  for (int i = 0; i < 2000; ++i) {
    const auto opened = open_file(name, {i % 2 == 1, false, false, true});
    if (!opened) {
      CHECK(opened.failure().code == ESPIPE);
      continue;
    }
    CHECK(opened.value().size_bytes == 10);
    for (const int number : numbers_of(root())) CHECK((fcntl(number, F_GETFL) & O_NONBLOCK) == 0);
    for (const FileHandle handle : {opened.value().handle, opened.value().direct_handle}) {
      if (handle != kNoFile) CHECK(close_handle(handle) == 0);
    }
  }
  done.store(true);
  swaps.join();
}

TEST_CASE_FIXTURE(Folder, "a lease of somebody else is not waited for") {
  const std::string name = file("held", "0123456789");
  const auto before = signal(SIGIO, SIG_IGN);  // tells that the lease is wanted back
  const int fd = open(name.c_str(), O_RDWR | O_CLOEXEC);
  if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
    CHECK(open_file(name, {}).failure().code == EAGAIN);
    CHECK(fcntl(fd, F_SETLEASE, F_UNLCK) == 0);
    const auto opened = open_file(name, {true, false, false, false});
    REQUIRE(opened.ok());
    CHECK(close_handle(opened.value().handle) == 0);
  }
  close(fd);
  static_cast<void>(signal(SIGIO, before));
}

}  // namespace numapool::platform
