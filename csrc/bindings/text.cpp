// Decodes the strings of the core.
#include "text.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::str checked(PyObject* text) {
  if (text == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

}  // namespace

py::str words(const std::string& text) {
  return checked(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

py::object words_or_none(const std::string& text) {
  return text.empty() ? py::object(py::none()) : py::object(words(text));
}

py::str path_text(const std::string& path) {
  return checked(
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

py::object path_or_none(const std::string& path) {
  return path.empty() ? py::object(py::none()) : py::object(path_text(path));
}

}  // namespace numapool::bindings
