// The measuring kernels: what they do to memory, which CPUs they run on, and what they refuse.
#include "numapool/bench.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "bench/bench_loops.hpp"
#include "scripted.hpp"

namespace numapool::bench {
namespace {

constexpr Plan kShort{100'000, 2};

struct alignas(kLineBytes) Line {
  std::array<std::byte, kLineBytes> bytes;
};

// Lines that begin where lines begin.
class Lines {
 public:
  explicit Lines(std::size_t count) : lines_(count) {}
  [[nodiscard]] Memory memory() { return std::as_writable_bytes(std::span(lines_)); }
  [[nodiscard]] double* numbers() { return reinterpret_cast<double*>(lines_.data()); }
  [[nodiscard]] std::size_t count() const { return lines_.size() * sizeof(Line) / sizeof(double); }

 private:
  std::vector<Line> lines_;
};

std::vector<const void*> walk(Memory memory) {
  std::vector<const void*> seen;
  const void* at = memory.data();
  do {
    seen.push_back(at);
    std::memcpy(&at, at, sizeof at);
  } while (at != memory.data() && seen.size() <= memory.size() / kLineBytes);
  return seen;
}

std::size_t neighbours(const std::vector<const void*>& order) {
  std::size_t found = 0;
  for (std::size_t i = 1; i < order.size(); ++i) {
    const auto apart =
        static_cast<const std::byte*>(order[i]) - static_cast<const std::byte*>(order[i - 1]);
    found += apart == static_cast<std::ptrdiff_t>(kLineBytes) ? 1 : 0;
  }
  return found;
}

}  // namespace

TEST_CASE("the circle goes through every line once and comes back") {
  for (const std::size_t count : {2U, 3U, 64U, 1000U, 4096U}) {
    Lines lines(count);
    link_circle(lines.memory(), 7);
    const std::vector<const void*> order = walk(lines.memory());
    CHECK(order.size() == count);
    CHECK(std::set<const void*>(order.begin(), order.end()).size() == count);
    for (const void* const line : order) {
      const auto offset = static_cast<const std::byte*>(line) - lines.memory().data();
      CHECK(offset % static_cast<std::ptrdiff_t>(kLineBytes) == 0);
    }
  }
}

TEST_CASE("its order is the seed's, and no prefetcher's") {
  Lines lines(4096);
  link_circle(lines.memory(), 1);
  const std::vector<const void*> first = walk(lines.memory());
  link_circle(lines.memory(), 1);
  CHECK(walk(lines.memory()) == first);
  link_circle(lines.memory(), 2);
  CHECK(walk(lines.memory()) != first);
  CHECK(neighbours(first) < 16);  // one is to be expected
}

TEST_CASE("a circle of less than two lines, or across them, is refused") {
  Lines lines(3);
  CHECK(kind_of([&] { return link_circle(lines.memory().first(kLineBytes), 1), 0; }) ==
        ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return link_circle(lines.memory().subspan(8), 1), 0; }) ==
        ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return chase(Memory{}, {}, kShort); }) == ErrorKind::kInvalidArgument);
  CHECK(kind_of([&] { return chase(lines.memory(), {}, {1, 0}); }) == ErrorKind::kInvalidArgument);
}

TEST_CASE("every set of instructions computes the same") {
  for (const Loops* set : {&loops(), &baseline_loops()}) {
    CAPTURE(std::string(set->name));
    Lines to(33);
    Lines from(33);
    Lines other(33);
    for (std::size_t i = 0; i < from.count(); ++i) {
      from.numbers()[i] = static_cast<double>(i);
      other.numbers()[i] = 0.5;
    }
    set->copy(to.numbers(), from.numbers(), to.count());
    CHECK(std::equal(to.numbers(), to.numbers() + to.count(), from.numbers()));
    set->triad(to.numbers(), from.numbers(), other.numbers(), 4.0, to.count());
    CHECK(to.numbers()[0] == 2.0);
    CHECK(to.numbers()[to.count() - 1] == static_cast<double>(to.count() - 1) + 2.0);
    set->fill(to.numbers(), to.count(), 3.0);
    CHECK(std::count(to.numbers(), to.numbers() + to.count(), 3.0) ==
          static_cast<std::ptrdiff_t>(to.count()));
    std::vector<std::uint64_t> expected(1);
    auto* const integers = reinterpret_cast<std::uint64_t*>(to.numbers());
    for (std::size_t i = 0; i < to.count(); ++i) integers[i] = i * i;
    for (std::size_t i = 0; i < to.count(); ++i) expected[0] += i * i;
    CHECK(set->sum(integers, to.count()) == expected[0]);
  }
}

TEST_CASE_FIXTURE(Scripted, "the chase counts its loads, on the CPU that was named") {
  Lines lines(1024);
  link_circle(lines.memory(), 3);
  const std::array<int, 1> cpu{3};
  const Chases done = chase(lines.memory(), cpu, kShort);
  CHECK(done.stayed);
  REQUIRE(done.rounds.size() == 2);
  for (const Chase& round : done.rounds) {
    CHECK(round.loads > 0);
    CHECK(round.ns > 0);
  }
  CHECK(memory().worker_cpus == std::vector<std::vector<int>>{{3}});
}

TEST_CASE_FIXTURE(Scripted, "every CPU streams through its share, and the shares are everything") {
  const std::array<int, 3> cpus{0, 1, 4};
  for (const Kind kind : {Kind::kRead, Kind::kWrite, Kind::kCopy, Kind::kTriad}) {
    memory().worker_cpus.clear();
    Lines lines(3 * 1000);
    double* const numbers = lines.numbers();
    std::fill(numbers, numbers + lines.count(), 5.0);
    const Streams done = stream(kind, lines.memory(), cpus, {2'000'000, 3});
    CHECK(done.stayed);
    REQUIRE(done.bytes_per_s.size() == 3);
    for (const double rate : done.bytes_per_s) CHECK(rate > 0);
    std::vector<std::vector<int>> on = memory().worker_cpus;
    std::sort(on.begin(), on.end());
    CHECK(on == std::vector<std::vector<int>>{{0}, {1}, {4}});
    const double written = kind == Kind::kWrite ? 1.0 : kind == Kind::kTriad ? 2.0 : 5.0;
    const std::size_t target = kind == Kind::kTriad ? lines.count() / 3 : lines.count() / 2;
    CHECK(std::count(numbers, numbers + target, written) == static_cast<std::ptrdiff_t>(target));
  }
}

TEST_CASE_FIXTURE(Scripted, "latency under load takes a CPU that waits and others that load") {
  Lines circle(1024);
  Lines load(1024);
  link_circle(circle.memory(), 3);
  const std::array<int, 3> cpus{2, 3, 4};
  const Loaded done = chase_under_load(circle.memory(), load.memory(), cpus, 10, kShort);
  CHECK(done.stayed);
  REQUIRE(done.chases.size() == 2);
  REQUIRE(done.load_bytes_per_s.size() == 2);
  CHECK(done.chases[1].loads > 0);
  CHECK(done.load_bytes_per_s[1] > 0);
  CHECK(walk(circle.memory()).size() == 1024);  // nobody wrote to it
  const auto [kind, message] = error_of([&] {
    return chase_under_load(circle.memory(), load.memory(), std::span(cpus).first(1), 0, kShort);
  });
  CHECK(kind == ErrorKind::kInvalidArgument);
  CHECK(message.find("two CPUs") != std::string::npos);
}

TEST_CASE_FIXTURE(Scripted, "a thread that gets no CPU of its own is not said to have stayed") {
  Lines lines(1024);
  link_circle(lines.memory(), 3);
  CHECK_FALSE(chase(lines.memory(), {}, kShort).stayed);
  memory().workers_roam = true;
  const std::array<int, 2> cpus{0, 1};
  CHECK_FALSE(chase(lines.memory(), cpus, kShort).stayed);
  const Streams done = stream(Kind::kRead, lines.memory(), cpus, kShort);
  CHECK_FALSE(done.stayed);
  CHECK(done.bytes_per_s.size() == 2);
}

TEST_CASE("a circle of steps has one line in each, and neighbours use other sets of a cache") {
  Lines lines(64 * 20);
  for (const std::size_t step : {std::size_t{4096}, std::size_t{128}}) {
    const Memory memory = lines.memory();
    link_circle(memory, 7, step);
    std::set<std::size_t> steps;
    std::set<std::size_t> within;
    const std::vector<const void*> seen = walk(memory);
    for (const void* at : seen) {
      const auto offset =
          static_cast<std::size_t>(static_cast<const std::byte*>(at) - memory.data());
      CHECK(offset % kLineBytes == 0);
      steps.insert(offset / step);
      within.insert(offset % step);
    }
    CHECK(seen.size() == memory.size() / step);
    CHECK(steps.size() == seen.size());
    CHECK(within.size() == std::min(seen.size(), step / kLineBytes));
  }
  for (const std::size_t step : {0U, 32U, 100U, 64U * 64U * 20U})
    CHECK(kind_of([&] { link_circle(lines.memory(), 1, step); }) == ErrorKind::kInvalidArgument);
}

TEST_CASE_FIXTURE(Scripted, "lines go from cache to cache, whole circles at a time") {
  Lines lines(32);
  const Memory memory = lines.memory();
  link_circle(memory, 3);
  const std::vector<const void*> before = walk(memory);
  const std::array<int, 2> cpus{4, 5};
  for (const LineState state : {LineState::kModified, LineState::kClean}) {
    if (state == LineState::kClean && !can_flush()) {
      CHECK(kind_of([&] { (void)chase_from_cache(memory, cpus, state, kShort); }) ==
            ErrorKind::kUnsupported);
      continue;
    }
    const Chases found = chase_from_cache(memory, cpus, state, kShort);
    REQUIRE(found.rounds.size() == 2);
    for (const Chase& round : found.rounds) {
      CHECK(round.loads > 0);
      CHECK(round.loads % 32 == 0);
      CHECK(round.ns > 0);
    }
    CHECK(walk(memory) == before);
  }
  // Written behind the pointers, by the owner alone.
  CHECK(memory[sizeof(void*)] == std::byte{1});
}

TEST_CASE_FIXTURE(Scripted, "from cache to cache takes two CPUs and a round") {
  Lines lines(4);
  link_circle(lines.memory(), 1);
  const auto chase_on = [&](std::span<const int> cpus, const Plan& plan) {
    return kind_of(
        [&] { (void)chase_from_cache(lines.memory(), cpus, LineState::kModified, plan); });
  };
  const std::array<int, 3> cpus{0, 1, 2};
  CHECK(chase_on(std::span(cpus).first(1), kShort) == ErrorKind::kInvalidArgument);
  CHECK(chase_on(cpus, kShort) == ErrorKind::kInvalidArgument);
  CHECK(chase_on(std::span(cpus).first(2), {1000, 0}) == ErrorKind::kInvalidArgument);
}

TEST_CASE_FIXTURE(Scripted, "the mix computes its first quarter from the others") {
  Lines lines(64);
  const std::array<int, 1> cpu{0};
  CHECK(stream(Kind::kMix, lines.memory(), cpu, kShort).bytes_per_s.size() == 2);
  const double* const numbers = lines.numbers();
  CHECK(std::all_of(numbers, numbers + lines.count() / 4, [](double x) { return x == 3.0; }));
  CHECK(std::all_of(numbers + lines.count() / 4, numbers + lines.count(),
                    [](double x) { return x == 1.0; }));
}

TEST_CASE_FIXTURE(Scripted, "shares without a line are refused") {
  Lines lines(5);
  const std::array<int, 2> cpus{0, 1};
  CHECK(kind_of([&] { return stream(Kind::kTriad, lines.memory(), cpus, kShort); }) ==
        ErrorKind::kInvalidArgument);
  CHECK(stream(Kind::kCopy, lines.memory(), cpus, kShort).bytes_per_s.size() == 2);
}

TEST_CASE_FIXTURE(Scripted, "first use says where the pages came and how large they were") {
  const std::array<int, 1> cpu{4};
  const platform::Pages huge{platform::PageKind::kTransparent, platform::fake::kHugePage};
  const platform::Pages base{platform::PageKind::kBase, platform::fake::kBasePage};
  const FirstUse populated = first_use(First::kPopulate, 4 * kMiB, huge, 2, cpu);
  CHECK(populated.page_bytes == platform::fake::kHugePage);
  CHECK(populated.bytes_on_node == 4 * kMiB);
  CHECK(first_use(First::kPopulate, kMiB, base, 1, cpu).bytes_on_node == kMiB);
  CHECK(platform::fake::live_mappings() == 0);
  CHECK(memory().misuses == 0);
}

TEST_CASE_FIXTURE(Scripted, "first use of what is not there is an error, and no memory stays") {
  const platform::Pages base{platform::PageKind::kBase, platform::fake::kBasePage};
  const auto use = [&](std::size_t length) {
    return first_use(First::kPopulate, length, base, 1, {});
  };
  CHECK(kind_of([&] { return use(1 << 30); }) == ErrorKind::kNoMemory);
  CHECK(kind_of([&] { return use(100); }) == ErrorKind::kInvalidArgument);
  memory().failures = {{"set_policy", {platform::Cause::kInvalid, "mbind", 22, "node 1"}}};
  CHECK(kind_of([&] { return use(kMiB); }) == ErrorKind::kSystem);
  memory().failures = {{"set_policy", {platform::Cause::kRefused, "mbind", 1, "node 1"}}};
  CHECK(use(kMiB).page_bytes == platform::fake::kBasePage);
  CHECK(platform::fake::live_mappings() == 0);
}

TEST_CASE("touch reaches every page, and nothing in between") {
  Lines lines(256);
  Memory memory = lines.memory();
  touch(memory, 4096);
  CHECK(std::count(memory.begin(), memory.end(), std::byte{1}) == 4);
  CHECK(memory[4096] == std::byte{1});
}

TEST_CASE("more steps take longer") {
  std::uint64_t few = UINT64_MAX;
  std::uint64_t many = UINT64_MAX;
  for (int i = 0; i < 5; ++i) {
    few = std::min(few, spin_ns(10'000));
    many = std::min(many, spin_ns(1'000'000));
  }
  CHECK(many > 10 * few);
}

}  // namespace numapool::bench
