// Binds how sizes are written, so that messages of the core and of Python write them alike.
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "numapool/size_text.hpp"

namespace py = pybind11;

namespace numapool::bindings {

void bind_text(py::module_& module) { module.def("size_text", &size_text, py::arg("size_bytes")); }

}  // namespace numapool::bindings
