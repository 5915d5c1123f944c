// Binds the ring of equal blocks; BufferRing in Python makes it a class with options.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <vector>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "numapool/ring.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

struct Drop {
  void operator()(Ring* ring) const noexcept { ring->drop(); }
};

// The ring as Python sees it. Blocks that are out keep the ring's memory alive after it.
struct RingHandle {
  std::unique_ptr<Ring, Drop> ring;
  std::size_t block_bytes = 0;
};

RingHandle open_ring(const py::object& base, std::size_t block_bytes, std::uint32_t count,
                     std::vector<int> nodes, bool strict) {
  Pool& pool = pool_of(base.ptr());
  RingHandle handle;
  handle.block_bytes = block_bytes;
  std::vector<Degradation> degradations;
  {
    const WithoutGil released;
    handle.ring.reset(Ring::open(pool, {block_bytes, count, NodeIds(std::move(nodes)), strict},
                                 check_signals,
                                 [&](const Degradation& one) { degradations.push_back(one); }));
  }
  warn_of(degradations);
  return handle;
}

py::object acquire(const RingHandle& handle, std::optional<std::uint64_t> wait_ms) {
  Lease lease;
  if (!handle.ring->try_acquire(lease)) {
    const WithoutGil released;
    lease = handle.ring->acquire(wait_ms.value_or(0), check_signals);
  }
  PyObject* const buffer = make_node_buffer(lease, handle.block_bytes);
  if (buffer == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(buffer);
}

}  // namespace

void bind_ring(py::module_& module) {
  py::class_<RingHandle>(module, "Ring")
      .def("acquire", &acquire, py::arg("wait_ms"))
      .def("close",
           [](const RingHandle& handle) {
             const WithoutGil released;
             handle.ring->close();
           })
      .def("closed", [](const RingHandle& handle) { return handle.ring->closed(); })
      .def("lent", [](const RingHandle& handle) { return handle.ring->lent(); })
      .def("stride_bytes", [](const RingHandle& handle) { return handle.ring->stride_bytes(); })
      .def("node_id", [](const RingHandle& handle) {
        const WithoutGil released;
        return handle.ring->place().node_id;
      });
  module.def("ring_open", &open_ring, py::arg("base"), py::arg("block_bytes"), py::arg("count"),
             py::arg("nodes"), py::arg("strict"));
}

}  // namespace numapool::bindings
