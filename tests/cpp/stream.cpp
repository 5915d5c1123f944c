// Streams: blocks in the order of the file, used again, and given back whatever happens.
#include "numapool/stream.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "files.hpp"
#include "platform/fake/process_script.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

using Kind = StreamItem::Kind;
using platform::fake::StorageFile;

struct Streams : Pools, Files {
  Streams() { Pools::open(); }
  ~Streams() {
    stream.reset();
    // Threads that were not waited for give back what they have, however late.
    while (total().in_use_bytes != 0 || handles() != 0) std::this_thread::yield();
    Pools::close();
    CHECK(platform::fake::live_mappings() == 0);
  }
  static int handles() {
    const std::lock_guard guard(storage().mutex);
    return storage().open_handles;
  }
  // No thread may look at a file while it is made anew.
  StorageFile& file(std::size_t bytes) {
    if (stream) stream->close(kNoInterrupts);
    return Files::file(bytes);
  }
  static void hold_reads(bool hold) {
    const std::lock_guard guard(storage().mutex);
    storage().hold_reads = hold;
    storage().changed.notify_all();
  }
  static void wait_for_held(int reads) {
    std::unique_lock lock(storage().mutex);
    storage().changed.wait(lock, [reads] { return storage().held_reads == reads; });
  }
  Stream& open(const StreamOptions& options) {
    platform::Result<File> opened = File::open("x", {});
    REQUIRE(opened.ok());
    stream = Stream::open(std::move(opened).value(), *pool, options, kNoInterrupts, {});
    return *stream;
  }
  static StreamOptions of(std::size_t block_bytes, std::uint32_t depth) {
    StreamOptions out;
    out.block_bytes = block_bytes;
    out.depth = depth;
    return out;
  }
  StreamItem next() { return stream->next(std::nullopt, kNoInterrupts); }
  static std::string text(const StreamItem& item) {
    return {static_cast<const char*>(item.lease.region.address), item.bytes};
  }
  // Reads to the end or a failure, which is the item returned.
  StreamItem drain(std::string& into, std::uint64_t from = 0) {
    while (true) {
      StreamItem item = next();
      if (item.kind != Kind::kBlock) return item;
      REQUIRE(item.offset == from + into.size());
      into += text(item);
      give(item.lease);
    }
  }
  std::unique_ptr<Stream> stream;
};

}  // namespace

TEST_CASE_FIXTURE(Streams, "every byte once and in order, whatever the sizes") {
  for (const std::size_t bytes : {0, 1, 4096, 20'480, 50'000, 300'000}) {
    for (const std::size_t block : {1000, 4096, 16'384, 1 << 20}) {
      for (const std::uint32_t depth : {1U, 3U, 8U}) {
        const std::string expected = file(bytes).bytes;
        open(of(block, depth));
        std::string got;
        CHECK(drain(got).kind == Kind::kEnd);
        REQUIRE(got == expected);
        CHECK(next().kind == Kind::kEnd);
        CHECK(stream->figures().bytes == bytes);
      }
    }
  }
}

TEST_CASE_FIXTURE(Streams, "a stretch of the file; later blocks begin where direct I/O may") {
  const std::string expected = file(100'000).bytes;
  for (const std::uint64_t offset : {0, 512, 700, 99'999, 100'000, 200'000}) {
    for (const std::uint64_t size : {0, 1, 4096, 30'000, 1'000'000}) {
      StreamOptions options = of(4096, 2);
      options.offset = offset;
      options.size = size;
      open(options);
      const StreamItem first = next();
      std::string got;
      if (first.kind == Kind::kBlock) {
        const std::uint64_t end = first.offset + first.bytes;
        if (end < std::min<std::uint64_t>(offset + size, expected.size())) CHECK(end % 512 == 0);
        got = text(first);
        give(first.lease);
        CHECK(drain(got, offset).kind == Kind::kEnd);
      }
      const std::string rest = offset < expected.size() ? expected.substr(offset) : "";
      REQUIRE(got == rest.substr(0, size));
    }
  }
}

TEST_CASE_FIXTURE(Streams, "aligned blocks are direct, others say why they are not") {
  file(1 << 20);
  std::string got;
  open(of(4096, 4));
  static_cast<void>(drain(got));
  CHECK(stream->figures().direct_bytes == got.size());
  CHECK(stream->figures().why_not_direct.empty());
  got.clear();
  open(of(5000, 4));
  static_cast<void>(drain(got));
  CHECK(stream->figures().direct_bytes < got.size());
  CHECK_FALSE(stream->figures().why_not_direct.empty());
}

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

TEST_CASE_FIXTURE(Streams, "blocks that are kept are not written to, the others go round") {
  const std::string expected = file(1 << 20).bytes;
  open(of(4096, 3));
  CHECK(stream->figures().blocks == 4);
  std::vector<StreamItem> kept;
  for (int i = 0; i < 3; ++i) kept.push_back(next());
  std::string got;
  for (const StreamItem& item : kept) got += text(item);
  CHECK(drain(got).kind == Kind::kEnd);  // by the one block that is left
  CHECK(got == expected);
  for (const StreamItem& item : kept) {
    CHECK(text(item) == expected.substr(item.offset, item.bytes));
    give(item.lease);
  }
}

TEST_CASE_FIXTURE(Streams, "all blocks kept: no hang, and on it goes once one is back") {
  file(1 << 20);
  open(of(4096, 2));
  std::vector<StreamItem> kept;
  for (int i = 0; i < 3; ++i) kept.push_back(next());
  CHECK(stream->starved());
  CHECK(kind_of([&] { return stream->next(20, kNoInterrupts); }) == ErrorKind::kExhausted);
  give(kept[1].lease);
  const StreamItem more = next();
  CHECK(more.offset == 3 * 4096);
  for (const StreamItem& item : {kept[0], kept[2], more}) give(item.lease);
}

TEST_CASE_FIXTURE(Streams, "a small file needs few blocks, and all of it may be kept") {
  file(9000);
  open(of(4096, 16));
  CHECK(stream->figures().blocks == 4);
  std::vector<StreamItem> kept;
  while (true) {
    StreamItem item = stream->next(0, kNoInterrupts);
    if (item.kind != Kind::kBlock) break;
    kept.push_back(std::move(item));
  }
  CHECK(kept.size() == 3);
  for (const StreamItem& item : kept) give(item.lease);
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

TEST_CASE_FIXTURE(Streams, "many consumers get every block once") {
  const std::string expected = file(600'000).bytes;
  for (int round = 0; round < 10; ++round) {
    open(of(4096, 4));
    std::string got(expected.size(), '\0');
    std::atomic<std::size_t> bytes{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (true) {
          const StreamItem item = next();
          if (item.kind != Kind::kBlock) return;
          text(item).copy(got.data() + item.offset, item.bytes);
          bytes += item.bytes;
          give(item.lease);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(bytes == expected.size());
    CHECK(got == expected);
  }
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
