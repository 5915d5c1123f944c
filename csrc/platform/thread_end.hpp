// A call in which the calling thread may be ended, as an ending Python interpreter does.
#pragma once

#include <chrono>
#include <exception>
#include <thread>

namespace numapool::platform {

// Calls call(argument). A thread that ends itself in there (pthread_exit) does not come back to its
// callers: it sleeps until the process is gone, and gives nothing of theirs back. Exceptions pass.
// Frames between here and the end of the thread must have nothing to clean up: where the module has
// another unwinder than the C library, these could not be unwound.
void call_or_sleep(void (*call)(void*), void* argument);

// For platforms where the C++ library's unwinder is the one that ends threads: such an unwinding
// leaves a call unfinished without an exception that C++ counts.
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
