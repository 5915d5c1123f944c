// Turns the core's exception into the Python exception of its kind.
#include "errors.hpp"

#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "python_call.hpp"
#include "text.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::object error_class(const char* name) {
  return import_module("numapool.base.errors").attr(name);
}

void raise(const Error& error) {
  if (error.kind() == ErrorKind::kInterrupted) return;  // PyErr_CheckSignals has set the exception
  const py::str text = words(error.message());
  switch (error.kind()) {
    case ErrorKind::kInvalidArgument:
    case ErrorKind::kClosed:
      set_exception(PyExc_ValueError, text);
      return;
    case ErrorKind::kNoMemory:
      set_exception(PyExc_MemoryError, text);
      return;
    case ErrorKind::kBusy:
      set_exception(PyExc_BufferError, text);
      return;
    case ErrorKind::kExhausted:
      set_exception(error_class("PoolExhaustedError"), text);
      return;
    case ErrorKind::kNodeNotFound:
      set_exception(error_class("NodeNotFoundError"), text);
      return;
    case ErrorKind::kTopology:
      set_exception(error_class("TopologyError"), text);
      return;
    case ErrorKind::kPlacement: {
      py::dict bytes_by_node;
      for (const auto& [node, bytes] : error.bytes_by_node) bytes_by_node[py::int_(node)] = bytes;
      const py::object cls = error_class("PlacementError");
      set_exception(cls, call_python(cls, py::make_tuple(text, bytes_by_node)));
      return;
    }
    case ErrorKind::kUnsupported: {
      const py::object cls = error_class("UnsupportedError");
      const py::tuple values = error.code() == 0 ? py::tuple(py::make_tuple(text))
                                                 : py::tuple(py::make_tuple(error.code(), text));
      set_exception(cls, call_python(cls, values));
      return;
    }
    case ErrorKind::kSystem: {
      const py::object cls = py::reinterpret_borrow<py::object>(PyExc_OSError);
      set_exception(cls, call_python(cls, py::make_tuple(error.code(), text)));
      return;
    }
    case ErrorKind::kInterrupted:
      return;
  }
}

}  // namespace

void set_python_error(const Error& error) noexcept {
  try {
    raise(error);
  } catch (py::error_already_set& failure) {
    failure.restore();
  }
}

void register_errors() {
  py::register_local_exception_translator([](std::exception_ptr pending) {
    try {
      if (pending) std::rethrow_exception(pending);
    } catch (const Error& error) {
      set_python_error(error);
    }
  });
}

}  // namespace numapool::bindings
