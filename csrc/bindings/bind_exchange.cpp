// Binds what concerns memory of other owners: where it is, moving it, and shared memory's
// placement.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "claims.hpp"
#include "interrupt.hpp"
#include "node_buffer_text.hpp"
#include "numapool/allocator.hpp"
#include "numapool/home_node.hpp"
#include "numapool/object_memory.hpp"
#include "numapool/shared.hpp"
#include "platform/thread.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// (address, bytes of an element, [(count, stride in bytes), ...])
using Extent =
    std::tuple<std::uintptr_t, std::size_t, std::vector<std::pair<std::uint64_t, std::int64_t>>>;

std::vector<platform::Span> spans_of(const std::vector<Extent>& extents) {
  std::vector<platform::Span> all;
  for (const auto& [address, item_bytes, dimensions] : extents) {
    std::vector<Dimension> made;
    for (const auto& [count, stride] : dimensions) made.push_back({count, stride});
    const auto part = pages_of(address, item_bytes, std::move(made));
    all.insert(all.end(), part.begin(), part.end());
  }
  return merged(std::move(all));
}

py::object placement_object(const Placement& placement) {
  PyObject* const made = to_python(placement);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

// What an object of the buffer protocol shows, as an Extent.
Extent extent_of(const py::handle& object) {
  Py_buffer view{};
  if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_FULL_RO) != 0) throw py::error_already_set();
  std::vector<std::pair<std::uint64_t, std::int64_t>> dimensions;
  bool indirect = false;
  // ctypes gives no strides of what is contiguous.
  if (view.strides == nullptr || view.shape == nullptr) {
    const auto item = std::max<Py_ssize_t>(view.itemsize, 1);
    dimensions.emplace_back(static_cast<std::uint64_t>(view.len / item), item);
  } else {
    for (int i = 0; i < view.ndim; ++i) {
      indirect = indirect || (view.suboffsets != nullptr && view.suboffsets[i] >= 0);
      dimensions.emplace_back(static_cast<std::uint64_t>(view.shape[i]), view.strides[i]);
    }
  }
  const Extent extent{reinterpret_cast<std::uintptr_t>(view.buf),
                      static_cast<std::size_t>(view.itemsize), std::move(dimensions)};
  PyBuffer_Release(&view);
  if (indirect) throw py::type_error("an array of pointers to its rows has no pages of its own");
  return extent;
}

// (before, after, moved past: shared, busy, full, other, file), in bytes.
py::tuple move_extents(const std::vector<Extent>& extents, int node) {
  MoveOutcome out;
  {
    const WithoutGil released;
    require_usable(*topology_now(), node);
    const auto spans = spans_of(extents);
    const Claim claim(Claim::Kind::kMove, spans);
    out = move_to(spans, node, check_signals);
  }
  return py::make_tuple(placement_object(out.before), placement_object(out.after),
                        out.kept.shared_bytes, out.kept.busy_bytes, out.kept.full_bytes,
                        out.kept.other_bytes, out.file_bytes);
}

}  // namespace

void bind_exchange(py::module_& module) {
  module.def("extent_of", &extent_of, py::arg("data"));
  module.def(
      "placement_of_extents",
      [](const std::vector<Extent>& extents) {
        Placement seen;
        {
          const WithoutGil released;
          seen = placement_of(spans_of(extents), check_signals);
        }
        return placement_object(seen);
      },
      py::arg("extents"));
  module.def("move_extents", &move_extents, py::arg("extents"), py::arg("node"));
  module.def(
      "place_shared",
      [](std::uintptr_t address, std::size_t length, std::optional<int> node, bool strict) {
        SharedPlacement out;
        {
          const WithoutGil released;
          const SharedTopology machine = topology_now();
          const Topology& topology = *machine;
          const platform::Pages base{platform::PageKind::kBase, platform::base_page_bytes()};
          const int target = node ? *node : topology.nearest(node_here(topology)).front();
          out = place_shared({reinterpret_cast<void*>(address), length, base}, topology, target,
                             strict, check_signals);
        }
        PyObject* const step = to_python(out.place.step);
        if (step == nullptr) throw py::error_already_set();
        return py::make_tuple(out.place.requested_node, out.place.node_id,
                              py::reinterpret_steal<py::object>(step), out.place.bound,
                              out.degraded);
      },
      py::arg("address"), py::arg("length"), py::arg("node"), py::arg("strict"));
}

}  // namespace numapool::bindings
