// Calls a function in which the calling thread may be ended, as an exiting Python interpreter does.
#pragma once

#include <chrono>
#include <exception>
#include <thread>

namespace numapool::platform {

// Calls call(argument). A thread that ends itself in there (pthread_exit) does not return to its
// callers: it sleeps until the process exits, and none of their cleanup runs. Exceptions pass
// through.
void call_or_sleep(void (*call)(void*), void* argument);

// An unwinding that ends a thread leaves the call without an exception that C++ counts.
class SleepIfUnfinished {
 public:
  SleepIfUnfinished() noexcept = default;
  ~SleepIfUnfinished() {
    if (finished_ || std::uncaught_exceptions() != exceptions_) return;
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  SleepIfUnfinished(const SleepIfUnfinished&) = delete;
  SleepIfUnfinished& operator=(const SleepIfUnfinished&) = delete;
  void finish() noexcept { finished_ = true; }

 private:
  const int exceptions_ = std::uncaught_exceptions();
  bool finished_ = false;
};

}  // namespace numapool::platform
