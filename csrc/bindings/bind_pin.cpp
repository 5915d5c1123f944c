// NodeBuffer.pin(): a view that also keeps the pages where they are.
#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "bindings.hpp"
#include "claims.hpp"
#include "errors.hpp"
#include "node_buffer.hpp"
#include "python_call.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

class PinnedRange {
 public:
  // The caller has a view of the buffer meanwhile.
  PinnedRange(py::object buffer, const Held& held)
      : address_(reinterpret_cast<std::uintptr_t>(held.region.address)),
        size_bytes_(held.size_bytes),
        buffer_(std::move(buffer)),
        claim_(std::in_place, Claim::Kind::kPin, held.region) {
    if (!add_view(buffer_.ptr())) throw py::error_already_set();
  }
  ~PinnedRange() { release(); }
  PinnedRange(const PinnedRange&) = delete;
  PinnedRange& operator=(const PinnedRange&) = delete;

  // Where the pages are now; the buffer's node_id follows, for a pin may have moved them.
  [[nodiscard]] py::object placement() const {
    static_cast<void>(address());
    PyObject* const seen = placement_again(buffer_.ptr());
    if (seen == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(seen);
  }

  void release() noexcept {
    if (released_.exchange(true)) return;
    claim_.reset();
    drop_view(buffer_.ptr());
    buffer_ = py::object();
  }
  [[nodiscard]] bool released() const noexcept { return released_.load(); }
  [[nodiscard]] std::uintptr_t address() const {
    if (released()) throw Error(ErrorKind::kClosed, "the pin was released");
    return address_;
  }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

 private:
  std::atomic<bool> released_{false};
  std::uintptr_t address_;
  std::size_t size_bytes_;
  py::object buffer_;
  std::optional<Claim> claim_;
};

// A device's pin moves pages off a node whose memory is all movable.
void warn_of_pins(const std::optional<int>& node) {
  if (!node) return;
  call_python(import_module("numapool.memory.movable_only").attr("warn_of_pins"),
              py::make_tuple(*node));
}

}  // namespace

PyObject* pin_buffer(PyObject* buffer, PyObject*) noexcept {
  if (!add_view(buffer)) return nullptr;
  PyObject* const made = guarded(static_cast<PyObject*>(nullptr), [buffer]() -> PyObject* {
    try {
      const Held memory = held_memory(buffer);
      auto held = std::make_unique<PinnedRange>(py::reinterpret_borrow<py::object>(buffer), memory);
      warn_of_pins(memory.node_id);
      return py::cast(std::move(held)).release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
      return nullptr;
    }
  });
  drop_view(buffer);
  return made;
}

PyObject* hold_buffer(PyObject* buffer, PyObject* unused) noexcept {
  if (PyErr_WarnEx(PyExc_DeprecationWarning,
                   "NodeBuffer.hold is deprecated and goes with the next release: use pin", 1) != 0)
    return nullptr;
  return pin_buffer(buffer, unused);
}

void bind_pin(py::module_& module) {
  py::class_<PinnedRange>(module, "PinnedRange",
                          "Keeps a NodeBuffer's pages where they are until it is released; made by "
                          "NodeBuffer.pin().")
      .def_property_readonly("address", &PinnedRange::address,
                             "Address of the first byte; ValueError once released.")
      .def_property_readonly("nbytes", &PinnedRange::size_bytes, "Size of the buffer in bytes.")
      .def_property_readonly("released", &PinnedRange::released, "Whether it pins no longer.")
      .def("placement", &PinnedRange::placement,
           "Read again where the pages are, and let the buffer's node_id follow.\n\n"
           "Call it once a device has registered the memory: the kernel moves pages off a node of "
           "movable memory alone before they are pinned.\n\n"
           "Returns\n-------\nPlacement\n    As of NodeBuffer.placement().\n\n"
           "Raises\n------\nValueError\n    The pin was released.")
      .def("release", &PinnedRange::release,
           "Let the buffer be moved and closed again. Doing it twice is allowed.")
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](PinnedRange& self, const py::args&) { self.release(); });
}

}  // namespace numapool::bindings
