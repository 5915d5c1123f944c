// Gives the GIL away for a scope, and takes it back without falling over an interpreter that is
// ending.
#pragma once

#include <Python.h>

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

// Returns the result of `call`, called without the GIL.
template <class Call>
auto without_gil(const Call& call) {
  const WithoutGil released;
  return call();
}

}  // namespace numapool::bindings
