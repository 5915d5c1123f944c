// Lets Ctrl-C end long work: runs Python's pending signal handlers between chunks.
#pragma once

#include <Python.h>

#include "numapool/error.hpp"
#include "without_gil.hpp"

namespace numapool::bindings {

// An InterruptCheck for work that runs without the GIL (or, free-threaded, detached).
inline void check_signals() {
  PyGILState_STATE state{};
  take_gil_or_sleep([&state] { state = PyGILState_Ensure(); });
  const int raised = PyErr_CheckSignals();
  PyGILState_Release(state);
  if (raised != 0) throw Error(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace numapool::bindings
