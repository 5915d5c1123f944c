// Binds the line of those who wait for a pool's memory without a thread; numapool.pools.waiting
// makes awaitables of it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "numapool/pool.hpp"
#include "numapool/turn.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::object buffer_of(const Lease& lease, std::size_t size_bytes, bool zeroed) {
  PyObject* const buffer = buffer_of_lease(lease, size_bytes, zeroed);
  if (buffer == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(buffer);
}

// A NodeBuffer, or the turn of the request.
py::object join(const py::object& base, const std::shared_ptr<TurnBox>& box, std::uint64_t key,
                std::size_t size_bytes, std::vector<int> nodes, bool strict) {
  Pool& pool = pool_of(base.ptr());
  const TurnMark mark{key, zeroes_on_reuse(base.ptr())};
  AcquireRequest request;
  request.size_bytes = size_bytes;
  request.nodes = NodeIds(std::move(nodes));
  request.strict = strict;
  std::vector<Degradation> degradations;
  Lease lease;
  std::shared_ptr<Turn> turn;
  {
    const WithoutGil released;
    turn = pool.join_line(request, box, mark, lease, check_signals,
                          [&](const Degradation& one) { degradations.push_back(one); });
  }
  if (turn != nullptr) return py::cast(std::move(turn));
  py::object buffer = buffer_of(lease, size_bytes, mark.zeroed);
  warn_of(degradations);
  return buffer;
}

bool leave(const py::object& base, Turn& turn) {
  Pool& pool = pool_of(base.ptr());
  return without_gil([&] { return pool.leave_line(turn); });
}

// What a turn came to, as a NodeBuffer or an exception.
py::object outcome(Turn& turn) {
  try {
    if (turn.error) {
      set_python_error(*turn.error);
      throw py::error_already_set();
    }
    const Lease lease = *std::exchange(turn.lease, std::nullopt);
    py::object buffer = buffer_of(lease, turn.size_bytes, turn.mark.zeroed);
    warn_of(turn.degradations);
    return buffer;
  } catch (const py::error_already_set& error) {
    return error.value();
  }
}

struct TurnOutcome {
  std::uint64_t key;
  py::object value;
};

py::object take(TurnBox& box) {
  std::vector<TurnOutcome> taken;
  for (const std::shared_ptr<Turn>& turn : box.take())
    taken.push_back({turn->mark.key, outcome(*turn)});
  return as_record(taken);
}

}  // namespace

void bind_line(py::module_& module) {
  Record<TurnOutcome>::bind(
      module, "TurnOutcome",
      {{"key", value<&TurnOutcome::key>}, {"value", value<&TurnOutcome::value>}});
  py::class_<Turn, std::shared_ptr<Turn>>(module, "Turn");
  py::class_<TurnBox, std::shared_ptr<TurnBox>>(module, "TurnBox")
      .def(py::init<>())
      .def("fileno", &TurnBox::descriptor)
      .def("take", &take);
  module.def("line_join", &join, py::arg("base"), py::arg("box"), py::arg("key"),
             py::arg("size_bytes"), py::arg("nodes"), py::arg("strict"));
  module.def("line_leave", &leave, py::arg("base"), py::arg("turn"));
}

}  // namespace numapool::bindings
