// The classes of records: made by hand, for pybind11's cost more to build and to make objects of.
#include "record.hpp"

#include <structmember.h>

#include <cstddef>

namespace numapool::bindings {
namespace {

// An object is its header and one reference for each field.
PyObject** fields_of(PyObject* object) noexcept {
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + sizeof(PyObject));
}

std::size_t count_of(PyTypeObject* type) noexcept {
  return (static_cast<std::size_t>(type->tp_basicsize) - sizeof(PyObject)) / sizeof(PyObject*);
}

void dealloc(PyObject* object) {
  PyTypeObject* const type = Py_TYPE(object);
  for (std::size_t i = 0; i < count_of(type); ++i) Py_XDECREF(fields_of(object)[i]);
  type->tp_free(object);
  Py_DECREF(type);
}

// "Node(node_id=0, cpus=(0, 1))"
PyObject* repr(PyObject* object) {
  PyTypeObject* const type = Py_TYPE(object);
  try {
    py::list parts;
    for (std::size_t i = 0; i < count_of(type); ++i) {
      parts.append(
          py::str("{}={!r}").format(type->tp_members[i].name, py::handle(fields_of(object)[i])));
    }
    const py::object name = py::handle(reinterpret_cast<PyObject*>(type)).attr("__name__");
    return py::str("{}({})").format(name, py::str(", ").attr("join")(parts)).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
    return nullptr;
  }
}

}  // namespace

void RecordType::make(py::module_& module, const char* name,
                      const std::vector<const char*>& fields) {
  std::vector<PyMemberDef> members;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto offset = static_cast<Py_ssize_t>(sizeof(PyObject) + i * sizeof(PyObject*));
    members.push_back({fields[i], T_OBJECT_EX, offset, READONLY, nullptr});
  }
  members.push_back({nullptr, 0, 0, 0, nullptr});
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc)},
      {Py_tp_repr, reinterpret_cast<void*>(&repr)},
      {Py_tp_members, members.data()},
      {0, nullptr},
  };
  const std::string whole = "numapool._core." + std::string(name);
  PyType_Spec spec = {
      whole.c_str(), static_cast<int>(sizeof(PyObject) + fields.size() * sizeof(PyObject*)), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
  PyObject* const type = PyType_FromModuleAndSpec(module.ptr(), &spec, nullptr);
  if (type == nullptr) throw py::error_already_set();
  type_ = reinterpret_cast<PyTypeObject*>(type);
  if (PyModule_AddObjectRef(module.ptr(), name, type) != 0) throw py::error_already_set();
}

py::object RecordType::create(std::vector<py::object>&& values) const {
  PyObject* const made = type_->tp_alloc(type_, 0);
  if (made == nullptr) throw py::error_already_set();
  for (std::size_t i = 0; i < values.size(); ++i) fields_of(made)[i] = values[i].release().ptr();
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace numapool::bindings
