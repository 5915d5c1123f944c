// Threads: the signals of those that the core starts, and the CPU that one runs on, both asked of
// the kernel.
#include "platform/thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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
TEST_CASE("a thread knows the CPU that it runs on, a new one too, and in the child of a fork") {
  const auto goes_along = [] {
    cpu_set_t before;
    bool right = sched_getaffinity(0, sizeof before, &before) == 0;
    for (int cpu = 0; right && cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before) == 0) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      right = sched_setaffinity(0, sizeof one, &one) == 0 && current_cpu() == cpu &&
              sched_getcpu() == cpu;
    }
    return right && sched_setaffinity(0, sizeof before, &before) == 0;
  };
  CHECK(goes_along());
  bool in_thread = false;
  std::thread([&] { in_thread = goes_along(); }).join();
  CHECK(in_thread);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(goes_along() ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace numapool::platform
