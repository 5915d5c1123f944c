// Strings of the core, whose bytes need not be UTF-8, as Python strings.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace numapool::bindings {

// Words to read: bytes that are no UTF-8 are escaped, as in tracebacks.
[[nodiscard]] pybind11::str words(const std::string& text);
[[nodiscard]] pybind11::object words_or_none(const std::string& text);  // None where it is empty

// Paths and names of files, as os.fsdecode() writes them.
[[nodiscard]] pybind11::str path_text(const std::string& path);
[[nodiscard]] pybind11::object path_or_none(const std::string& path);  // None where it is empty

}  // namespace numapool::bindings
