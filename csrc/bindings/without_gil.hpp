// Gives the GIL away for a scope, and takes it back without falling over an interpreter that is
// ending.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace numapool::bindings {

// Before Python 3.14, taking the GIL in a daemon thread while the interpreter ends is pthread_exit,
// which glibc does by unwinding: through a noexcept function or pybind11's catch (...) that would
// abort the process. From 3.14 on such a thread sleeps until the process is gone; here it does so
// everywhere. Every call may take the GIL that runs Python code, if only to make an object.
// What is caught refers to nothing: libstdc++ has no object for it.
template <class Call>
#if defined(__GLIBCXX__)
__attribute__((no_sanitize("null")))
#endif
auto sleep_if_ending(const Call& call) {
#if defined(__GLIBCXX__) && defined(__GLIBC__)
  try {
    return call();
  } catch (abi::__forced_unwind&) {
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
#else
  return call();
#endif
}

template <class Take>
void take_gil_or_sleep(const Take& take) noexcept {
  sleep_if_ending([&take] { take(); });
}

class WithoutGil {
 public:
  WithoutGil() noexcept : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    take_gil_or_sleep([this] { PyEval_RestoreThread(state_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace numapool::bindings
