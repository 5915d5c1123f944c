// A thread that is ended in a call sleeps there; results and exceptions pass.
#include "bindings/ending.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <thread>

namespace numapool::bindings {
namespace {

struct AtEnd {
  std::function<void()> work;
  ~AtEnd() { work(); }
};

// In code that nobody has put into sleep_if_ending().
void end_in_noexcept() noexcept { pthread_exit(nullptr); }

void end_among_handlers() {
  try {
    pthread_exit(nullptr);
  } catch (...) {
    std::abort();
  }
}

// As WithoutGil does: from a destructor, through which no unwinding may come.
struct EndsInDestructor {
  ~EndsInDestructor() {
    sleep_if_ending([] { pthread_exit(nullptr); });
  }
};

}  // namespace

TEST_CASE("what finishes returns, what throws throws, while another exception passes too") {
  CHECK(sleep_if_ending([] { return 7; }) == 7);
  sleep_if_ending([] {});
  const auto throws = [] { sleep_if_ending([]() -> int { throw std::runtime_error("mine"); }); };
  CHECK_THROWS_WITH(throws(), "mine");
  int caught = 0;
  try {
    const AtEnd on_the_way{[&] {
      CHECK(sleep_if_ending([] { return 7; }) == 7);
      try {
        throws();
      } catch (const std::runtime_error&) {
        ++caught;
      }
    }};
    throw std::logic_error("other");
  } catch (const std::logic_error&) {
    ++caught;
  }
  CHECK(caught == 2);
}

TEST_CASE("a thread that is ended in a call sleeps there, and gives nothing back") {
  // In a child, which takes the sleeping threads with it.
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    std::atomic<int> begun{0};
    std::atomic<int> given_back{0};
    std::thread([&] {
      const AtEnd object{[&] { ++given_back; }};
      ++begun;
      sleep_if_ending([] { pthread_exit(nullptr); });
    }).detach();
    std::thread([&] {
      const AtEnd object{[&] { ++given_back; }};
      ++begun;
      const EndsInDestructor ends;
    }).detach();
    const auto ended_by = [&](void (*end)()) {
      std::thread([&, end] {
        const AtEnd object{[&] { ++given_back; }};
        ++begun;
        end();
      }).detach();
    };
    ended_by(end_in_noexcept);  // it has nothing to clean up but a process to end
    ended_by(end_among_handlers);
    while (begun != 4) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    _exit(given_back == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace numapool::bindings
