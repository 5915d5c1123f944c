// Reads arguments for the types made by hand. A wrong argument is refused with the message of
// numapool.base.arguments, so that all errors read alike; Python is called only then.
#pragma once

#include <Python.h>

namespace numapool::bindings {

inline constexpr const char* kBytes =
    "a number of bytes (an integer, or text with a unit, such as \"64MiB\" or \"2GB\")";
inline constexpr const char* kNode = "the id of a node (an integer)";

// Sets an error of that kind: "NAME must be TAKES, not VALUE", in place of one that is set.
void refuse_argument(PyObject* kind, const char* name, const char* takes, PyObject* value) noexcept;

// Calls numapool.base.arguments.FUNCTION(NAME, VALUE). A new reference, or nullptr with an error
// set.
[[nodiscard]] PyObject* read_by_python(const char* function, const char* name,
                                       PyObject* value) noexcept;

// Resolves the target of a migration (a NodeSet, words, or several ids) to one node id, as
// numapool.memory.migration.target_of does. Returns a new reference, or nullptr with an error set.
[[nodiscard]] PyObject* target_by_python(PyObject* buffer, PyObject* value) noexcept;

// The ids of the nodes that an argument names, a list of one at least
// (numapool.machine.node_set.wanted_of): a new reference, or nullptr with an error set.
[[nodiscard]] PyObject* nodes_by_python(const char* name, PyObject* value) noexcept;

// False with an error set. True and False alone are taken here; other truths are Python's to judge.
[[nodiscard]] inline bool read_flag(const char* name, PyObject* value, bool& out) noexcept {
  if (value == Py_True || value == Py_False) {
    out = value == Py_True;
    return true;
  }
  PyObject* const judged = read_by_python("flag", name, value);
  if (judged == nullptr) return false;
  out = judged == Py_True;
  Py_DECREF(judged);
  return true;
}

// Seconds to wait, 0 or more. False with an error set.
[[nodiscard]] inline bool read_wait(const char* name, PyObject* value, double& out) noexcept {
  out = PyFloat_AsDouble(value);
  if (out >= 0) return true;
  PyErr_Clear();
  PyObject* const judged = read_by_python("wait", name, value);
  if (judged == nullptr) return false;
  out = PyFloat_AsDouble(judged);
  Py_DECREF(judged);
  return true;
}

}  // namespace numapool::bindings
