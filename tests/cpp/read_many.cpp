// Many reads at the same time: the same bytes by a queue, by threads and by the caller; refusals of
// the queue, failures, signals, and forks.
#include "numapool/read_many.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "files.hpp"
#include "numapool/error.hpp"

namespace numapool {
namespace {

using platform::fake::StorageFile;

const InterruptCheck kNoCheck = [] {};
enum class Way { kQueue, kThreads, kCaller };

struct Many : Files {
  ~Many() { CHECK(storage().open_queues == 0); }

  static void choose(Way way) { storage().queue_code = way == Way::kQueue ? 0 : EPERM; }
  static ManyReads read(const std::vector<ReadRequest>& requests, std::uint32_t depth,
                        const InterruptCheck& check = kNoCheck) {
    platform::Result<File> opened = File::open("x", {}, check);
    REQUIRE(opened.ok());
    return read_many(opened.value(), requests, depth, check);
  }
};

// Requests of a random kind, and memory for each.
struct Requests {
  template <class Below>
  Requests(const Below& below, std::size_t count, std::size_t file_bytes) {
    for (std::size_t i = 0; i < count; ++i) {
      memories.emplace_back(below(3) == 0 ? 512 * below(4) : below(1800), below(1) * below(600));
      const std::uint64_t offset = below(1) == 0 ? 512 * below(30) : below(file_bytes + 10);
      list.push_back({memories.back().piece(), offset});
    }
  }
  std::vector<Memory> memories;
  std::vector<ReadRequest> list;
};

}  // namespace

TEST_CASE_FIXTURE(Many, "every engine fills every piece, and says which reads were short") {
  std::mt19937 chance(11);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n)(chance);
  };
  for (int round = 0; round < 240; ++round) {
    StorageFile& made = file(1 + below(20'000));
    made.most_bytes = below(2) == 0 ? 0 : 1 + below(900);
    made.interrupts = static_cast<int>(below(2));
    made.memory_align = std::size_t{4} << below(7);
    made.refuses_direct = below(9) == 0;
    const Way way = round % 8 == 0 ? Way::kThreads : Way::kQueue;
    choose(way);
    storage().queue_seed = static_cast<std::uint32_t>(round + 1);
    storage().queue_interrupts = static_cast<int>(below(2));
    storage().queued_reads = 0;
    storage().queue_refusals = {{static_cast<int>(1 + below(9)), EAGAIN},
                                {static_cast<int>(1 + below(9)), EINVAL},
                                {static_cast<int>(1 + below(9)), ECANCELED}};
    Requests asked(below, 2 + below(20), made.bytes.size());
    const auto depth = static_cast<std::uint32_t>(2 + below(9));
    const ManyReads done = read(asked.list, depth);
    REQUIRE_FALSE(done.failure);
    REQUIRE(done.engine == (way == Way::kQueue ? ReadEngine::kQueue : ReadEngine::kThreads));
    REQUIRE(done.why_no_queue.empty() == (way == Way::kQueue));
    std::uint64_t bytes = 0;
    std::vector<std::size_t> cut;
    for (std::size_t i = 0; i < asked.list.size(); ++i) {
      const std::uint64_t at = std::min<std::uint64_t>(asked.list[i].offset, made.bytes.size());
      const std::size_t length = asked.list[i].piece.length;
      const std::string expected = made.bytes.substr(at, length);
      REQUIRE(asked.memories[i].text(length) ==
              expected + std::string(length - expected.size(), '.'));
      bytes += expected.size();
      if (expected.size() < length) cut.push_back(i);
    }
    REQUIRE(done.bytes == bytes);
    std::vector<std::size_t> told;
    for (const ShortRead& one : done.short_reads) told.push_back(one.index);
    REQUIRE(told == cut);
  }
}

TEST_CASE_FIXTURE(Many, "one read, or a file without a size, is the caller's own") {
  const std::string bytes = file(9000).bytes;
  Memory memory(4096);
  CHECK(read({{memory.piece(), 0}}, 32).engine == ReadEngine::kCaller);
  CHECK(memory.text(4096) == bytes.substr(0, 4096));
  CHECK(read({}, 32).bytes == 0);
  Memory other(4096);
  CHECK(read({{memory.piece(), 0}, {other.piece(), 1}}, 1).engine == ReadEngine::kCaller);
  file(0);
  const ManyReads none = read({{memory.piece(), 0}, {other.piece(), 1}}, 8);
  CHECK(none.engine == ReadEngine::kCaller);
  CHECK(none.short_reads.size() == 2);
  CHECK(storage().queued_reads == 0);
}

TEST_CASE_FIXTURE(Many, "the first of several failures is told, and all before it is read") {
  for (const Way way : {Way::kQueue, Way::kThreads}) {
    for (std::uint32_t seed = 1; seed < 30; ++seed) {
      StorageFile& made = file(40'960);
      made.bad[8 * 1024 + 100] = EIO;
      made.bad[12 * 1024] = ENODATA;
      choose(way);
      storage().queue_seed = seed;
      std::vector<Memory> memories;
      std::vector<ReadRequest> requests;
      for (std::size_t i = 0; i < 40; ++i) memories.emplace_back(1024);
      for (std::size_t i = 0; i < 40; ++i) requests.push_back({memories[i].piece(), i * 1024});
      const ManyReads done = read(requests, 6);
      REQUIRE(done.failure);
      REQUIRE(done.failed_index == 8);
      REQUIRE(done.failed_offset == 8 * 1024 + 100);
      REQUIRE(done.failure->code == EIO);
      REQUIRE(done.failure->call == "preadv");
      for (std::size_t i = 0; i < 8; ++i)
        REQUIRE(memories[i].text(1024) == made.bytes.substr(i * 1024, 1024));
      // Other threads go on for as long as the one that fails is not there yet.
      if (way == Way::kQueue) REQUIRE(memories[30].text(1024) == std::string(1024, '.'));
    }
  }
}

TEST_CASE_FIXTURE(Many, "a file that becomes shorter or longer meanwhile") {
  for (const Way way : {Way::kQueue, Way::kThreads}) {
    for (const std::size_t later : {3000, 60'000}) {
      StorageFile& made = file(20'000);
      const std::string longer = pattern(60'000);
      int left = 5;
      made.before = [&](StorageFile& self, std::uint64_t) {
        if (--left == 0) self.bytes = longer.substr(0, later);
      };
      choose(way);
      std::vector<Memory> memories;
      std::vector<ReadRequest> requests;
      for (std::size_t i = 0; i < 40; ++i) memories.emplace_back(1000);
      for (std::size_t i = 0; i < 40; ++i) requests.push_back({memories[i].piece(), i * 1000});
      const ManyReads done = read(requests, 4);
      REQUIRE_FALSE(done.failure);
      std::size_t cut = 0;
      for (std::size_t i = 0; i < 40; ++i) {
        std::size_t bytes = 1000;
        if (cut < done.short_reads.size() && done.short_reads[cut].index == i)
          bytes = done.short_reads[cut++].bytes;
        REQUIRE(memories[i].text(bytes) == longer.substr(i * 1000, bytes));
      }
      if (later > 20'000) REQUIRE(done.bytes >= 35'000);
    }
  }
}

TEST_CASE_FIXTURE(Many, "a check that throws leaves no read in flight") {
  file(40'960);
  storage().queue_interrupts = 1;
  std::vector<Memory> memories;
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < 40; ++i) memories.emplace_back(1024);
  for (std::size_t i = 0; i < 40; ++i) requests.push_back({memories[i].piece(), i * 1024});
  const InterruptCheck stop = [] { throw Error(ErrorKind::kInterrupted, "stop"); };
  CHECK_THROWS_AS(static_cast<void>(read(requests, 8, stop)), Error);
  CHECK(storage().queued_reads == 8);  // a queue that ends with reads in flight counts a misuse
}

TEST_CASE_FIXTURE(Many, "why there is no queue") {
  CHECK(why_no_read_queue().empty());
  storage().queue_code = EPERM;
  CHECK(why_no_read_queue().find("open_queue") == 0);
}

}  // namespace numapool
