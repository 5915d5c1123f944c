// The signals of threads that the core starts, asked of the kernel's own mask.
#include "platform/thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <thread>

#include <doctest/doctest.h>

namespace numapool::platform {
namespace {

bool blocked(int signal) {
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, nullptr, &now);
  return sigismember(&now, signal) == 1;
}

TEST_CASE("a thread started without signals never handles those of others, but its own faults") {
  bool others = false;
  bool faults = true;
  std::thread worker;
  {
    const NoSignals none;
    worker = std::thread([&] {
      others = blocked(SIGINT) && blocked(SIGTERM) && blocked(SIGALRM) && blocked(SIGPROF);
      faults = blocked(SIGSEGV) || blocked(SIGBUS) || blocked(SIGSYS);
    });
    CHECK(blocked(SIGINT));
  }
  worker.join();
  CHECK(others);
  CHECK_FALSE(faults);
}

TEST_CASE("what the caller had blocked is as it was before") {
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  sigset_t before;
  REQUIRE(pthread_sigmask(SIG_BLOCK, &some, &before) == 0);
  {
    const NoSignals none;
  }
  CHECK(blocked(SIGUSR2));
  CHECK_FALSE(blocked(SIGINT));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace numapool::platform
