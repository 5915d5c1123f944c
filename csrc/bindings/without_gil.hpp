// Gives the GIL away for a scope, and takes it back without falling over an interpreter that is
// ending.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

#include "ending.hpp"

namespace numapool::bindings {

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

// Takes the GIL back for a scope, in a thread of Python's that gave it away (WithoutGil).
//
// Not by PyGILState_Ensure(): once the interpreter is gone, and exit handlers of the process still
// run, it makes a thread state of nothing and crashes. PyEval_RestoreThread() ends a thread that
// comes then (CPython bpo-39877), as it does while the interpreter goes.
class GilAgain {
 public:
  GilAgain() noexcept {
    PyThreadState* const own = PyGILState_GetThisThreadState();
    while (own == nullptr) std::this_thread::sleep_for(std::chrono::hours(1));  // it is gone
    take_gil_or_sleep([own] { PyEval_RestoreThread(own); });
  }
  ~GilAgain() { static_cast<void>(PyEval_SaveThread()); }
  GilAgain(const GilAgain&) = delete;
  GilAgain& operator=(const GilAgain&) = delete;
};

// Returns the result of `call`, called without the GIL.
template <class Call>
auto without_gil(const Call& call) {
  const WithoutGil released;
  return call();
}

}  // namespace numapool::bindings
