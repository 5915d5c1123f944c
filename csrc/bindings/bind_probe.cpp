// Binds the probes of a scratch page, which capabilities() in Python uses.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/probe.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
void bind_probe(py::module_& module) {
  using platform::Method;
  py::native_enum<Method>(module, "Witness", "enum.Enum")
      .value("MOVE_PAGES", Method::kMovePages)
      .value("GET_MEMPOLICY", Method::kGetMempolicy)
      .value("NUMA_MAPS", Method::kNumaMaps)
      .finalize();
  module.def(
      "try_bind",
      [](int node, bool weighted) {
        const WithoutGil released;
        return try_bind(
            weighted ? platform::Policy::kWeightedInterleave : platform::Policy::kPreferred, node);
      },
      py::arg("node"), py::arg("weighted"));
  module.def(
      "try_move",
      [](int node) {
        const WithoutGil released;
        return try_move(node);
      },
      py::arg("node"));
  module.def(
      "try_witness",
      [](Method witness) {
        const WithoutGil released;
        return try_witness(witness);
      },
      py::arg("witness"));
  module.def("try_lock", [] {
    const WithoutGil released;
    try_lock();
  });
  module.def(
      "try_transparent_page",
      [](std::size_t page_bytes) {
        const WithoutGil released;
        return try_page({platform::PageKind::kTransparent, page_bytes}, true);
      },
      py::arg("page_bytes"));
  // Mapped but not touched: clearing a page of 1 GiB takes a tenth of a second.
  module.def(
      "try_hugetlb_page",
      [](std::size_t page_bytes) {
        const WithoutGil released;
        return try_page({platform::PageKind::kHugetlb, page_bytes}, false);
      },
      py::arg("page_bytes"));
}

}  // namespace numapool::bindings
