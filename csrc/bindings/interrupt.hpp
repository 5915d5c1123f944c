// Lets Ctrl-C end long work: runs what Python has put off between chunks.
#pragma once

#include <Python.h>

#include "numapool/error.hpp"
#include "without_gil.hpp"

namespace numapool::bindings {

// Runs what Python has put off for this thread: signal handlers, and objects that others dropped.
// -1 with an exception set if one of them raised. Holds the GIL.
[[nodiscard]] int run_pending();

// An InterruptCheck for work of a thread of Python's that runs without the GIL (or, free-threaded,
// detached).
inline void check_signals() {
  const int raised = [] {
    const GilAgain taken;
    return sleep_if_ending(run_pending);
  }();
  if (raised != 0) throw Error(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace numapool::bindings
