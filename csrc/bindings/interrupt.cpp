// Serves other threads and signals while a Python thread waits in native code.
#include "interrupt.hpp"

#include "made_once.hpp"

namespace numapool::bindings {
#ifdef Py_GIL_DISABLED
namespace {

struct DropNothing {
  void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};

std::unique_ptr<PyObject, DropNothing> make_nothing() {
  PyObject* const names = PyDict_New();
  PyObject* const made =
      names == nullptr ? nullptr : PyRun_String("lambda: None", Py_eval_input, names, names);
  Py_XDECREF(names);
  return std::unique_ptr<PyObject, DropNothing>(made);
}

}  // namespace
#endif

// Free-threaded, the last reference to an object that another thread drops is counted by the thread
// that made it (PEP 703, "Biased reference counting"), which does so when it runs Python code the
// next time. A thread that waits for such an object to go, as for a block of its own that a
// consumer has, would wait for itself: so it runs some code.
int run_pending() {
#ifdef Py_GIL_DISABLED
  constinit static MadeOnce<PyObject> known;
  PyObject* const nothing = known.get(make_nothing);
  if (nothing == nullptr) return -1;
  PyObject* const done = PyObject_CallNoArgs(nothing);
  if (done == nullptr) return -1;
  Py_DECREF(done);
#endif
  return PyErr_CheckSignals();
}

}  // namespace numapool::bindings
