// Registers the extension module.
#include <pybind11/pybind11.h>

namespace py = pybind11;

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "The compiled core of numapool.";
  module.attr("__version__") = NUMAPOOL_VERSION;
}
