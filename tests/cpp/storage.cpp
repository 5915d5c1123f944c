// Whole transfers: which way each stretch goes, and what becomes of short, interrupted, refused and
// failing calls.
#include "numapool/storage.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <random>

#include "files.hpp"
#include "numapool/error.hpp"

namespace numapool {
namespace {

using platform::Piece;
using platform::fake::StorageCall;
using platform::fake::StorageFile;

const InterruptCheck kNoCheck = [] {};
constexpr platform::FileRequest kRead{};
constexpr platform::FileRequest kWrite{true, true, false, true};

struct Storage : Files {
  static File open(const platform::FileRequest& request = kRead) {
    platform::Result<File> opened = File::open("x", request, kNoCheck);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  static Transfer read(const Piece& piece, std::uint64_t offset) {
    return open().read({&piece, 1}, offset, kNoCheck);
  }
  static Transfer write(const Piece& piece, std::uint64_t offset) {
    return open(kWrite).write({&piece, 1}, offset, false, kNoCheck);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Storage, "what is aligned goes directly, in one call") {
  const std::string& bytes = file(8192).bytes;
  Memory memory(4096);
  const Transfer done = read(memory.piece(), 1024);
  CHECK(done.bytes == 4096);
  CHECK(done.direct_bytes == 4096);
  CHECK_FALSE(done.misplaced);
  CHECK(memory.text(4096) == bytes.substr(1024, 4096));
  CHECK(calls().size() == 1);
}

TEST_CASE_FIXTURE(Storage, "ends that are not aligned go through the page cache") {
  const std::string& bytes = file(8192).bytes;
  Memory memory(3000, 412);  // aligned where the file is, from offset 512 on
  const Transfer done = read(memory.piece(), 412);
  CHECK(memory.text(3000) == bytes.substr(412, 3000));
  CHECK(done.direct_bytes == 2560);
  CHECK_FALSE(done.misplaced);
  const std::vector<StorageCall> made = calls();
  REQUIRE(made.size() == 3);
  CHECK((!made[0].direct && made[0].done == 100));
  CHECK((made[1].direct && made[1].offset == 512 && made[1].done == 2560));
  CHECK((!made[2].direct && made[2].done == 340));
}

TEST_CASE_FIXTURE(Storage, "an address that never fits goes through the page cache, and is told") {
  const std::string& bytes = file(8192).bytes;
  Memory memory(4096, 8);
  const Transfer done = read(memory.piece(), 0);
  CHECK(memory.text(4096) == bytes.substr(0, 4096));
  CHECK(done.direct_bytes == 0);
  CHECK(done.misplaced);
}

TEST_CASE_FIXTURE(Storage, "no direct I/O: why, and the bytes all the same") {
  StorageFile& made = file(5000);
  made.direct = false;
  Memory memory(8192);
  const File opened = open();
  const Piece piece = memory.piece();
  const Transfer done = opened.read({&piece, 1}, 0, kNoCheck);
  CHECK(done.bytes == 5000);
  CHECK_FALSE(done.misplaced);
  CHECK(memory.text(5001) == made.bytes + ".");
  CHECK(opened.why_not_direct() == "the file system has no direct I/O");
}

TEST_CASE_FIXTURE(Storage, "direct I/O that is refused after all") {
  StorageFile& made = file(8192);
  made.refuses_direct = true;
  Memory memory(8192);
  const File opened = open();
  const Piece piece = memory.piece();
  CHECK(opened.read({&piece, 1}, 0, kNoCheck).bytes == 8192);
  CHECK(memory.text(8192) == made.bytes);
  CHECK_FALSE(opened.why_not_direct().empty());
}

TEST_CASE_FIXTURE(Storage, "the end of the file, before, in and after the buffer") {
  const std::string bytes = file(5000).bytes;
  Memory memory(8192);
  CHECK(read(memory.piece(), 0).bytes == 5000);
  CHECK(memory.text(5001) == bytes + ".");
  CHECK(read(memory.piece(), 4096).bytes == 904);
  CHECK(read(memory.piece(), 5000).bytes == 0);
  CHECK(read(memory.piece(), 1 << 20).bytes == 0);
  CHECK(read({nullptr, 0}, 0).bytes == 0);
}

TEST_CASE_FIXTURE(Storage, "a failure tells how far it came") {
  StorageFile& made = file(8192);
  made.bad[4500] = EIO;
  Memory memory(8192);
  const Transfer done = read(memory.piece(), 1024);
  REQUIRE(done.failure);
  CHECK(done.bytes == 4500 - 1024);
  CHECK(done.failure->code == EIO);
  CHECK(describe(*done.failure).find("preadv(offset 4500)") == 0);
  CHECK(memory.text(done.bytes) == made.bytes.substr(1024, done.bytes));
}

TEST_CASE_FIXTURE(Storage, "what cannot be opened") {
  CHECK(File::open("nowhere", kRead, kNoCheck).failure().code == ENOENT);
  file(1).open_code = EACCES;
  CHECK(File::open("x", kRead, kNoCheck).failure().code == EACCES);
}

TEST_CASE_FIXTURE(Storage, "a file whose lease is given up, and one whose is not") {
  int tries = 0;
  StorageFile& made = file(100);
  made.before_open = [&](StorageFile& self) {
    self.open_code = ++tries == 1 ? EAGAIN : tries == 2 ? EINTR : 0;
  };
  int checks = 0;
  CHECK(File::open("x", kRead, [&] { ++checks; }).ok());
  CHECK(checks == 2);
  made.before_open = [](StorageFile& self) { self.open_code = EAGAIN; };
  const InterruptCheck stop = [&] {
    if (++checks == 5) throw Error(ErrorKind::kInterrupted, "stop");
  };
  CHECK_THROWS_AS(static_cast<void>(File::open("x", kRead, stop)), Error);
}

TEST_CASE_FIXTURE(Storage, "no file reaches beyond the last offset") {
  file(8192);
  Memory memory(8192);
  for (const std::uint64_t before : {0, 1, 512, 8191}) {
    const std::uint64_t offset = platform::kLastOffset - before;
    const Transfer got = read(memory.piece(), offset);
    CHECK_FALSE(got.failure);
    CHECK(got.bytes == 0);
  }
  file(8192).room = platform::kLastOffset;
  const Transfer put = write(memory.piece(), platform::kLastOffset);
  REQUIRE(put.failure);
  CHECK(put.failure->code == EFBIG);
  CHECK(put.bytes == 0);
}

TEST_CASE_FIXTURE(Storage, "random pieces of a file with short and interrupted calls") {
  std::mt19937 chance(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n)(chance);
  };
  for (int round = 0; round < 400; ++round) {
    StorageFile& made = file(below(20'000));
    made.most_bytes = below(2) == 0 ? 0 : 1 + below(3000);
    made.interrupts = static_cast<int>(below(2));
    made.memory_align = std::size_t{4} << below(7);
    made.refuses_direct = below(9) == 0;
    std::vector<Memory> memories;
    for (std::size_t i = below(80); i-- > 0;)
      memories.emplace_back(below(3) == 0 ? 512 * below(4) : below(900), below(1) * below(600));
    std::vector<Piece> pieces;
    std::size_t room = 0;
    for (Memory& one : memories) {
      pieces.push_back(one.piece());
      room += pieces.back().length;
    }
    const std::uint64_t offset = below(1) == 0 ? 512 * below(8) : below(made.bytes.size() + 10);
    const std::size_t held = offset < made.bytes.size() ? made.bytes.size() - offset : 0;
    const Transfer done = open().read(pieces, offset, kNoCheck);
    REQUIRE_FALSE(done.failure);
    REQUIRE(done.bytes == std::min(room, held));
    std::string got;
    for (Memory& one : memories) got += one.text(one.piece().length);
    REQUIRE(got.substr(0, done.bytes) ==
            made.bytes.substr(std::min<std::size_t>(offset, made.bytes.size()), done.bytes));
    REQUIRE(got.substr(done.bytes) == std::string(room - done.bytes, '.'));

    const Transfer written = open(kWrite).write(pieces, offset, true, kNoCheck);
    REQUIRE_FALSE(written.failure);
    REQUIRE(written.bytes == room);
    if (room != 0) REQUIRE(made.bytes.substr(offset, room) == got);
  }
}

TEST_CASE_FIXTURE(Storage, "a disk that fills up: what fits is written, and the place told") {
  file(0).room = 6000;
  Memory memory(8192, 0, 'w');
  const Transfer done = write(memory.piece(), 0);
  REQUIRE(done.failure);
  CHECK(done.failure->code == ENOSPC);
  CHECK(done.bytes == 6000);
  CHECK(storage().files["x"].bytes == std::string(6000, 'w'));
}

TEST_CASE_FIXTURE(Storage, "truncation, and failures that come late") {
  file(9000);
  Memory memory(10, 0, 'w');
  const Piece piece = memory.piece();
  {
    const File opened = open({true, true, true, true});
    CHECK(opened.write({&piece, 1}, 0, false, kNoCheck).bytes == 10);
  }
  CHECK(storage().files["x"].bytes == "wwwwwwwwww");
  storage().files["x"].sync_code = EIO;
  storage().files["x"].close_code = EDQUOT;
  File opened = open(kWrite);
  const Transfer done = opened.write({&piece, 1}, 0, true, kNoCheck);
  REQUIRE(done.failure);
  CHECK(done.failure->call == "fdatasync");
  const auto at_close = opened.close();
  REQUIRE(at_close);
  CHECK(at_close->code == EDQUOT);
  CHECK_FALSE(opened.close());
}

TEST_CASE_FIXTURE(Storage, "a sync that is interrupted goes on, or stops where the check throws") {
  file(10).sync_interrupts = 2;
  Memory memory(10, 0, 'w');
  const Piece piece = memory.piece();
  int checks = 0;
  const File opened = open(kWrite);
  CHECK_FALSE(opened.write({&piece, 1}, 0, true, [&] { ++checks; }).failure);
  CHECK(checks == 2);
  storage().files["x"].sync_interrupts = 2;
  const InterruptCheck stop = [] { throw Error(ErrorKind::kInterrupted, "stop"); };
  CHECK_THROWS_AS(static_cast<void>(opened.write({&piece, 1}, 0, true, stop)), Error);
}

TEST_CASE_FIXTURE(Storage, "a check that throws stops the transfer") {
  file(8192).most_bytes = 512;
  Memory memory(8192);
  int left = 3;
  const InterruptCheck check = [&] {
    if (left-- == 0) throw Error(ErrorKind::kInterrupted, "stop");
  };
  const Piece piece = memory.piece();
  CHECK_THROWS_AS(static_cast<void>(open().read({&piece, 1}, 0, check)), Error);
  CHECK(calls().size() == 4);
}

}  // namespace numapool
