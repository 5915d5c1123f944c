// Records: results of the core as Python objects with read-only named attributes.
//
// Each is a C++ struct and a list of the fields that Python sees. The fields are read once, when
// the object is made. That costs no more than a tuple, and keeps no C++ object alive. Everything
// here needs the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text.hpp"

namespace numapool::bindings {

namespace py = pybind11;

// The class of a record, and a new object of it. Both throw py::error_already_set.
class RecordType {
 public:
  void make(py::module_& module, const char* name, const std::vector<const char*>& fields);
  // The values in the order of the fields; takes them over.
  [[nodiscard]] py::object create(std::vector<py::object>&& values) const;

 private:
  PyTypeObject* type_ = nullptr;
};

// A field: its name in Python, and how it is read.
template <class T>
struct Field {
  const char* name;
  py::object (*read)(const T& record);
};

template <class T>
class Record {
 public:
  // Makes the class and adds it to the module, once.
  static void bind(py::module_& module, const char* name, std::initializer_list<Field<T>> fields) {
    std::vector<const char*> names;
    for (const Field<T>& field : fields) names.push_back(field.name);
    type().make(module, name, names);
    readers() = fields;
  }
  [[nodiscard]] static py::object of(const T& value) {
    std::vector<py::object> values;
    values.reserve(readers().size());
    for (const Field<T>& field : readers()) values.push_back(field.read(value));
    return type().create(std::move(values));
  }

 private:
  static RecordType& type() noexcept { return type_; }
  static std::vector<Field<T>>& readers() noexcept { return readers_; }
  static inline RecordType type_;
  static inline std::vector<Field<T>> readers_;
};

// How a member becomes an attribute: numbers and enums as they are, sequences as tuples, an empty
// optional as None. A string must say which kind it is: words(), path_text() and the like.
py::object attribute(const std::string& text) = delete;
[[nodiscard]] inline py::object attribute(const py::object& value) { return value; }
template <class T>
[[nodiscard]] py::object attribute(const T& value) {
  return py::cast(value);
}
template <class Items, class Make>
[[nodiscard]] py::tuple tuple_of(const Items& items, const Make& make) {
  py::tuple out(items.size());
  std::size_t at = 0;
  for (const auto& item : items) out[at++] = make(item);
  return out;
}
template <class T>
[[nodiscard]] py::object attribute(const std::optional<T>& value) {
  return value ? attribute(*value) : py::object(py::none());
}
template <class T>
[[nodiscard]] py::object attribute(const std::vector<T>& values) {
  return tuple_of(values, [](const T& one) { return attribute(one); });
}
template <class T, std::size_t N>
[[nodiscard]] py::object attribute(const std::array<T, N>& values) {
  return tuple_of(values, [](const T& one) { return attribute(one); });
}

// Records themselves, alone, in a sequence, or perhaps not there.
template <class T>
[[nodiscard]] py::object as_record(const T& value) {
  return Record<T>::of(value);
}
template <class T>
[[nodiscard]] py::object as_record(const std::optional<T>& value) {
  return value ? Record<T>::of(*value) : py::object(py::none());
}
template <class T>
[[nodiscard]] py::object as_record(const std::vector<T>& values) {
  return tuple_of(values, &Record<T>::of);
}

// Readers of members, for Field: {"node_id", value<&Node::node_id>}.
template <auto Member, class T>
py::object value(const T& record) {
  return attribute(record.*Member);
}
template <auto Member, class T>
py::object record(const T& of) {
  return as_record(of.*Member);
}
template <auto Member, class T>
py::object text(const T& record) {
  return words(record.*Member);
}
template <auto Member, class T>
py::object text_or_none(const T& record) {
  return words_or_none(record.*Member);
}
template <auto Member, class T>
py::object texts(const T& record) {
  return tuple_of(record.*Member, &words);
}
template <auto Member, class T>
py::object path(const T& record) {
  return path_text(record.*Member);
}
template <auto Member, class T>
py::object optional_path(const T& record) {
  return path_or_none(record.*Member);
}

}  // namespace numapool::bindings
