// Keeps a thread that an ending interpreter takes down out of the code around a call.
#pragma once

#include <chrono>
#include <exception>
#include <thread>
#include <type_traits>

namespace numapool::bindings {

// Before Python 3.14, taking the GIL in a daemon thread while the interpreter ends is pthread_exit,
// which glibc does by unwinding: through a noexcept function or pybind11's catch (...) that would
// abort the process, and on its way it would give back objects without the GIL. From 3.14 on such a
// thread sleeps until the process is gone; here it does so everywhere.
//
// No C++ library's own name for such unwinding is needed: it leaves a call unfinished without an
// exception that C++ counts.
class SleepIfEnding {
 public:
  SleepIfEnding() noexcept = default;
  ~SleepIfEnding() {
    if (finished_ || std::uncaught_exceptions() != exceptions_) return;
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  SleepIfEnding(const SleepIfEnding&) = delete;
  SleepIfEnding& operator=(const SleepIfEnding&) = delete;
  void finish() noexcept { finished_ = true; }

 private:
  const int exceptions_ = std::uncaught_exceptions();
  bool finished_ = false;
};

// Around every call that may take the GIL: those that run Python code do, if only to make an
// object.
template <class Call>
auto sleep_if_ending(const Call& call) {
  SleepIfEnding guard;
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    guard.finish();
  } else {
    auto result = call();
    guard.finish();
    return result;
  }
}

}  // namespace numapool::bindings
