// Streams: blocks in the order of the file, used again when they are let go of.
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "streams.hpp"

namespace numapool {
namespace {

using Kind = StreamItem::Kind;
using platform::fake::StorageFile;

}  // namespace

TEST_CASE_FIXTURE(Streams, "every byte once and in order, whatever the sizes") {
  for (const std::size_t bytes : {0, 1, 4096, 20'480, 50'000, 300'000}) {
    for (const std::size_t block : {1000, 4096, 16'384, 1 << 20}) {
      for (const std::uint32_t depth : {1U, 3U, 8U}) {
        const std::string expected = file(bytes).bytes;
        open(of(block, depth));
        std::string got;
        CHECK(drain(got).kind == Kind::kEnd);
        CHECK(handles() == 0);
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

}  // namespace numapool
