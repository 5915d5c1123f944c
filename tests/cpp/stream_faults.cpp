// Streams whose file fails or changes, and streams that end early: nothing is lost, nothing leaks.
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "platform/fake/process_script.hpp"
#include "streams.hpp"

namespace numapool {
namespace {

using Kind = StreamItem::Kind;
using platform::fake::StorageFile;

}  // namespace

TEST_CASE_FIXTURE(Streams, "a failure comes after all bytes before it, and is the last") {
  for (const std::uint64_t bad : {0, 1, 4096, 30'000, 99'999}) {
    StorageFile& made = file(100'000);
    made.bad = {{bad, EIO}};
    open(of(4096, 4));
    std::string got;
    const StreamItem failure = drain(got);
    REQUIRE(failure.kind == Kind::kFailure);
    CHECK(failure.offset == bad);
    CHECK(failure.failure.code == EIO);
    CHECK(got == made.bytes.substr(0, bad));
    CHECK(next().kind == Kind::kEnd);
  }
}

TEST_CASE_FIXTURE(Streams, "short and interrupted calls go on") {
  StorageFile& made = file(100'000);
  made.most_bytes = 700;
  made.interrupts = 5;
  made.refuses_direct = true;
  open(of(8192, 3));
  std::string got;
  CHECK(drain(got).kind == Kind::kEnd);
  CHECK(got == made.bytes);
}

TEST_CASE_FIXTURE(Streams, "a file that shrinks ends where it ends now") {
  for (const std::size_t left : {0, 5000, 8192, 33'000}) {
    StorageFile& made = file(200'000);
    const std::string before = made.bytes;
    made.before = [left](StorageFile& one, std::uint64_t offset) {
      if (offset >= 40'960 && one.bytes.size() > left) one.bytes.resize(left);
    };
    open(of(4096, 4));
    std::string got;
    CHECK(drain(got).kind == Kind::kEnd);
    CHECK(got.size() >= left);
    CHECK(got == before.substr(0, got.size()));
  }
  stream->close(kNoInterrupts);
}

TEST_CASE_FIXTURE(Streams, "a file that grows is read to the end that it has then") {
  StorageFile& made = file(10'000);
  const std::string later = pattern(50'000);
  made.before = [&](StorageFile& one, std::uint64_t offset) {
    if (offset >= 10'000 && one.bytes.size() < later.size()) one.bytes = later;
  };
  open(of(4096, 4));
  std::string got;
  CHECK(drain(got).kind == Kind::kEnd);
  CHECK(got == later);
  stream->close(kNoInterrupts);
}

TEST_CASE_FIXTURE(Streams, "closed midway: it waits for reads, and blocks that are out stay") {
  const std::string expected = file(1 << 20).bytes;
  open(of(4096, 4));
  const StreamItem kept = next();
  stream->close(kNoInterrupts);
  stream->close(kNoInterrupts);
  CHECK(stream->closed());
  CHECK(handles() == 0);
  CHECK(kind_of([&] { return next(); }) == ErrorKind::kClosed);
  CHECK(kind_of([&] { return stream->try_next(); }) == ErrorKind::kClosed);
  stream.reset();
  CHECK(text(kept) == expected.substr(0, 4096));
  CHECK(total().in_use_bytes != 0);
  give(kept.lease);
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Streams, "dropped while the device does not answer") {
  file(1 << 20);
  hold_reads(true);
  open(of(4096, 3));
  wait_for_held(3);
  int looks = 0;
  const InterruptCheck impatient = [&] {
    if (++looks == 2) throw Error(ErrorKind::kInterrupted, "stop");
  };
  CHECK(kind_of([&] { return stream->next(std::nullopt, impatient); }) == ErrorKind::kInterrupted);
  looks = 0;
  CHECK_THROWS_AS(stream->close(impatient), Error);
  stream.reset();    // returns at once
  wait_for_held(3);  // they still do
  hold_reads(false);
}

TEST_CASE_FIXTURE(Streams, "closed by another thread: those who wait are told at once") {
  file(1 << 20);
  hold_reads(true);
  open(of(4096, 3));
  wait_for_held(3);
  std::atomic<int> told{0};
  std::vector<std::thread> consumers;
  for (int t = 0; t < 2; ++t) {
    consumers.emplace_back([&] {
      if (kind_of([&] { return next(); }) == ErrorKind::kClosed) ++told;
    });
  }
  std::thread closer([&] { stream->close(kNoInterrupts); });
  for (std::thread& consumer : consumers) consumer.join();
  CHECK(told == 2);
  hold_reads(false);
  closer.join();
}

TEST_CASE_FIXTURE(Streams, "forks while threads read: the parent reads on") {
  const std::string expected = file(400'000).bytes;
  open(of(4096, 4));
  const auto& process = platform::fake::process_script();
  std::string got;
  for (int i = 0; i < 20; ++i) {
    const StreamItem item = next();
    got += text(item);
    give(item.lease);
    process.before_fork();
    process.in_parent();
  }
  CHECK(drain(got).kind == Kind::kEnd);
  CHECK(got == expected);
}

TEST_CASE_FIXTURE(Streams, "sizes that make no sense, and memory that is not to be had") {
  file(1 << 20);
  CHECK(kind_of([&] { return &open(of(0, 1)); }) == ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return &open(of(4096, 0)); }) == ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return &open(of(std::size_t{1} << 63, 2)); }) == ErrorKind::kNoMemory);
  memory().failures["map"] = platform::Failure{platform::Cause::kNoMemory, "mmap", ENOMEM, {}};
  CHECK(kind_of([&] { return &open(of(4096, 2)); }) == ErrorKind::kNoMemory);
  memory().failures.clear();
  CHECK(handles() == 0);
}

}  // namespace numapool
