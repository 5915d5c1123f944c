// Binds what concerns memory of other owners: where it is, moving it, and shared memory's
// placement.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
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
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// Memory of an object, as an array: Python makes one of whatever it knows to take apart.
struct Extent {
  std::uintptr_t address = 0;  // of the first element
  std::size_t item_bytes = 0;
  std::vector<std::pair<std::uint64_t, std::int64_t>> dimensions;  // count, stride in bytes
};

std::vector<platform::Span> spans_of(const std::vector<Extent>& extents) {
  std::vector<platform::Span> all;
  for (const Extent& extent : extents) {
    std::vector<Dimension> made;
    for (const auto& [count, stride] : extent.dimensions) made.push_back({count, stride});
    const auto part = pages_of(extent.address, extent.item_bytes, std::move(made));
    all.insert(all.end(), part.begin(), part.end());
  }
  return merged(std::move(all));
}

py::object placement_object(const Placement& placement) {
  PyObject* const made = to_python(placement);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

// Returns the memory behind an object of the buffer protocol as an Extent.
Extent extent_of(const py::handle& object) {
  Py_buffer view{};
  if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_FULL_RO) != 0) throw py::error_already_set();
  std::vector<std::pair<std::uint64_t, std::int64_t>> dimensions;
  bool indirect = false;
  // ctypes gives no strides for contiguous memory.
  if (view.strides == nullptr || view.shape == nullptr) {
    const auto item = std::max<Py_ssize_t>(view.itemsize, 1);
    dimensions.emplace_back(static_cast<std::uint64_t>(view.len / item), item);
  } else {
    for (int i = 0; i < view.ndim; ++i) {
      indirect = indirect || (view.suboffsets != nullptr && view.suboffsets[i] >= 0);
      dimensions.emplace_back(static_cast<std::uint64_t>(view.shape[i]), view.strides[i]);
    }
  }
  Extent extent{reinterpret_cast<std::uintptr_t>(view.buf), static_cast<std::size_t>(view.itemsize),
                std::move(dimensions)};
  PyBuffer_Release(&view);
  if (indirect) throw py::type_error("an array of pointers to its rows has no pages of its own");
  return extent;
}

py::object move_extents(const std::vector<Extent>& extents, int node) {
  MoveOutcome out;
  {
    const WithoutGil released;
    require_usable(*topology_now(), node);
    const auto spans = spans_of(extents);
    const Claim claim(Claim::Kind::kMove, spans);
    out = move_to(spans, node, check_signals);
  }
  return as_record(out);
}

py::object step_object(const SharedPlacement& out) {
  PyObject* const step = to_python(out.place.step);
  if (step == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(step);
}

template <auto Member>
py::object placement(const MoveOutcome& out) {
  return placement_object(out.*Member);
}
template <auto Member>
py::object kept(const MoveOutcome& out) {
  return attribute(out.kept.*Member);
}
template <auto Member>
py::object place(const SharedPlacement& out) {
  return attribute(out.place.*Member);
}

void bind_exchange_types(py::module_& module) {
  py::class_<Extent>(module, "Extent")
      .def(py::init([](std::uintptr_t address, std::size_t item_bytes,
                       std::vector<std::pair<std::uint64_t, std::int64_t>> dimensions) {
             return Extent{address, item_bytes, std::move(dimensions)};
           }),
           py::arg("address"), py::arg("item_bytes"), py::arg("dimensions"))
      .def_readonly("address", &Extent::address);
  Record<MoveOutcome>::bind(module, "MoveOutcome",
                            {{"before", &placement<&MoveOutcome::before>},
                             {"after", &placement<&MoveOutcome::after>},
                             {"shared_bytes", &kept<&platform::MoveTally::shared_bytes>},
                             {"busy_bytes", &kept<&platform::MoveTally::busy_bytes>},
                             {"full_bytes", &kept<&platform::MoveTally::full_bytes>},
                             {"other_bytes", &kept<&platform::MoveTally::other_bytes>},
                             {"file_bytes", value<&MoveOutcome::file_bytes>}});
  Record<SharedPlacement>::bind(module, "SharedPlacement",
                                {{"requested_node", &place<&BlockPlace::requested_node>},
                                 {"node_id", &place<&BlockPlace::node_id>},
                                 {"step", &step_object},
                                 {"bound", &place<&BlockPlace::bound>},
                                 {"degraded", text<&SharedPlacement::degraded>}});
}

}  // namespace

void bind_exchange(py::module_& module) {
  bind_exchange_types(module);
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
      [](std::uintptr_t address, std::size_t length, std::vector<int> ids, bool strict) {
        SharedPlacement out;
        {
          const WithoutGil released;
          const SharedTopology machine = topology_now();
          const Topology& topology = *machine;
          const platform::Pages base{platform::PageKind::kBase, platform::base_page_bytes()};
          NodeIds nodes(std::move(ids));
          if (nodes.empty()) {
            const int here = node_here(topology);
            const std::vector<int> near = topology.memory_order(here);
            nodes = near.empty() ? here : near.front();
          }
          out = place_shared({reinterpret_cast<void*>(address), length, base}, topology, nodes,
                             strict, check_signals);
        }
        return as_record(out);
      },
      py::arg("address"), py::arg("length"), py::arg("nodes"), py::arg("strict"));
}

}  // namespace numapool::bindings
