// Lets Ctrl-C end long work: runs what Python has put off between chunks.
#pragma once

#include <Python.h>

#include "numapool/error.hpp"
#include "without_gil.hpp"

namespace numapool::bindings {

// Runs what Python has put off for this thread: signal handlers, and objects that others dropped.
// -1 with an exception set if one of them raised. Holds the GIL.
[[nodiscard]] int run_pending();

// An InterruptCheck for work that runs without the GIL (or, free-threaded, detached).
inline void check_signals() {
  PyGILState_STATE state{};
  take_gil_or_sleep([&state] { state = PyGILState_Ensure(); });
  const int raised = sleep_if_ending(run_pending);
  PyGILState_Release(state);
  if (raised != 0) throw Error(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace numapool::bindings
