// The count of a buffer's views: exactly one caller frees the memory, and never under a view.
#include "bindings/exports.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace numapool::bindings {
namespace {

// What Exports promises, said without atomics.
struct Model {
  bool add() {
    if (closed) return false;
    ++views;
    return true;
  }
  bool drop() {
    --views;
    return closed && views == 0;
  }
  Exports::Close close() {
    if (closed) return Exports::Close::kAlready;
    if (views != 0) return Exports::Close::kBusy;
    closed = true;
    return Exports::Close::kFree;
  }
  bool close_when_unused() {
    if (closed) return false;
    closed = true;
    return views == 0;
  }
  std::uint64_t views = 0;
  bool closed = false;
};

// Memory that tells whether it was freed once, and whether anybody had a view of it then.
struct Memory {
  void free() {
    CHECK(users.load() == 0);
    frees.fetch_add(1);
  }
  std::atomic<int> users{0};
  std::atomic<int> frees{0};
};

}  // namespace

TEST_CASE("one thread: every sequence of calls answers as the rules say") {
  // Four kinds of calls: every sequence of eight of them.
  for (unsigned sequence = 0; sequence < 1U << 16; ++sequence) {
    Exports exports;
    Model model;
    bool agree = true;
    for (unsigned rest = sequence, step = 0; step < 8; ++step, rest >>= 2) {
      switch (rest & 3) {
        case 0:
          agree = exports.add() == model.add() && agree;
          break;
        case 1:
          if (model.views != 0) agree = exports.drop() == model.drop() && agree;
          break;
        case 2:
          // One thread is alone with it.
          agree =
              (step % 2 == 0 ? exports.close() : exports.close_alone()) == model.close() && agree;
          break;
        default:
          agree = exports.close_when_unused() == model.close_when_unused() && agree;
          break;
      }
      agree = agree && exports.closed() == model.closed && exports.count() == model.views;
    }
    CAPTURE(sequence);
    REQUIRE(agree);
  }
}

TEST_CASE("close() frees nothing under a view, and is told what stands in the way") {
  Exports exports;
  CHECK(exports.add());
  CHECK(exports.close() == Exports::Close::kBusy);
  CHECK(exports.add());  // busy is not closing: views are still given out
  CHECK_FALSE(exports.drop());
  CHECK_FALSE(exports.drop());
  CHECK(exports.close() == Exports::Close::kFree);
  CHECK(exports.close() == Exports::Close::kAlready);
  CHECK_FALSE(exports.add());
}

TEST_CASE("threads: views come and go, and of all who close one frees") {
  for (int round = 0; round < 300; ++round) {
    Exports exports;
    Memory memory;
    std::atomic<bool> go{false};
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 3; ++seed) {
      threads.emplace_back([&, seed] {
        std::minstd_rand random(seed + 1 + static_cast<unsigned>(round));
        while (!go) std::this_thread::yield();
        for (int views = 0; views < 200; ++views) {
          if (!exports.add()) break;
          memory.users.fetch_add(1);
          if (random() % 8 == 0) std::this_thread::yield();
          memory.users.fetch_sub(1);
          if (exports.drop()) memory.free();
        }
      });
    }
    threads.emplace_back([&] {
      while (!go) std::this_thread::yield();
      for (int tries = 0; tries < 20; ++tries) {
        if (exports.close() == Exports::Close::kFree) memory.free();
        std::this_thread::yield();
      }
      if (exports.close_when_unused()) memory.free();
    });
    threads.emplace_back([&] {
      while (!go) std::this_thread::yield();
      std::this_thread::yield();
      if (exports.close_when_unused()) memory.free();
    });
    go = true;
    threads.clear();
    REQUIRE(memory.frees == 1);
    REQUIRE(exports.closed());
    REQUIRE(exports.count() == 0);
  }
}

TEST_CASE("threads: the last views go while their only giver closes") {
  for (int round = 0; round < 300; ++round) {
    Exports exports;
    Memory memory;
    constexpr int kViews = 4;
    for (int i = 0; i < kViews; ++i) REQUIRE(exports.add());
    memory.users = kViews;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kViews; ++i) {
        threads.emplace_back([&] {
          memory.users.fetch_sub(1);
          if (exports.drop()) memory.free();
        });
      }
      while (exports.close_alone() == Exports::Close::kBusy) std::this_thread::yield();
      memory.free();
    }
    REQUIRE(memory.frees == 1);
    REQUIRE(exports.closed());
  }
}

TEST_CASE("threads: a view of one thread is dropped by another, after the close") {
  for (int round = 0; round < 300; ++round) {
    Exports exports;
    Memory memory;
    constexpr int kViews = 4;
    for (int i = 0; i < kViews; ++i) REQUIRE(exports.add());
    memory.users = kViews;
    REQUIRE_FALSE(exports.close_when_unused());
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kViews; ++i) {
        threads.emplace_back([&] {
          memory.users.fetch_sub(1);
          if (exports.drop()) memory.free();
        });
      }
    }
    REQUIRE(memory.frees == 1);
  }
}

}  // namespace numapool::bindings
