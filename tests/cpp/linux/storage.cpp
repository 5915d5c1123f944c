// Files of this machine: what the kernel tells of direct I/O, transfers in pieces, and refusals.
#include "platform/storage.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <array>
#include <bit>
#include <cerrno>
#include <fstream>
#include <string>

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
  CHECK(close_handle(made.handle) == EBADF);
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

}  // namespace numapool::platform
