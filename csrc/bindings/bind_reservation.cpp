// Binds reservations in the background; numapool.pools.reservation makes a class of it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "interrupt.hpp"
#include "numapool/reservation.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

std::shared_ptr<Reservation> start_reservation(const py::object& base, std::size_t size_bytes,
                                               std::uint64_t count, std::vector<int> nodes) {
  Pool& pool = pool_of(base.ptr());
  const NodeIds wanted(std::move(nodes));
  const WithoutGil released;
  return Reservation::start(pool, size_bytes, count, wanted);
}

// Whether it is over. Raises what ended it, every time.
bool wait_for_end(Reservation& reservation, std::optional<std::uint64_t> most_ms) {
  {
    const WithoutGil released;
    if (!reservation.wait(most_ms, check_signals)) return false;
  }
  warn_of(reservation.take_degradations());
  if (const std::optional<Error> error = reservation.error()) throw Error(*error);
  return true;
}

}  // namespace

void bind_reservation(py::module_& module) {
  py::class_<Reservation, std::shared_ptr<Reservation>>(module, "Reservation")
      .def_property_readonly("added", &Reservation::added)
      .def_property_readonly("done_bytes", &Reservation::done_bytes)
      .def_property_readonly("over", &Reservation::over)
      .def_property_readonly("cancelled", &Reservation::cancelled)
      .def("cancel", &Reservation::cancel)
      .def("wait", &wait_for_end, py::arg("most_ms"));
  module.def("pool_reserve_in_background", &start_reservation, py::arg("base"),
             py::arg("size_bytes"), py::arg("count"), py::arg("nodes"));
}

}  // namespace numapool::bindings
