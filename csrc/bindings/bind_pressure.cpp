// Binds the pressure monitor and its subscribers' queues; numapool.pressure.monitor makes classes
// of them.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "numapool/pressure.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// The monitor joins its thread as it ends, which must not happen under the GIL for longer than a
// trim takes.
struct WithoutGilDelete {
  void operator()(Monitor* monitor) const noexcept {
    const WithoutGil released;
    delete monitor;
  }
};

class PyMonitor {
 public:
  PyMonitor(const PressurePolicy& policy, PressureSources sources)
      : monitor_(Monitor::make(policy, std::move(sources)).release()) {}
  Monitor* operator->() const noexcept { return monitor_.get(); }
  // In the child of a fork: whether it ran in the parent, which has its descriptors and queues as
  // well, so that they are left alone. Not to be used after this.
  bool abandon() noexcept { return monitor_.release()->ran_in_parent(); }

 private:
  std::unique_ptr<Monitor, WithoutGilDelete> monitor_;
};

PyMonitor make(std::uint64_t window_us, std::uint64_t moderate_us, std::uint64_t critical_us,
               std::optional<std::uint64_t> margin, std::optional<std::uint64_t> cgroup_margin,
               std::optional<std::uint64_t> node_margin, double critical_share, double hysteresis,
               std::uint64_t step_bytes, std::uint32_t cooldown_ms, std::uint32_t relief_ms,
               std::uint32_t poll_ms, std::uint32_t sources, std::string service_watch,
               std::string service_write) {
  PressurePolicy policy;
  policy.window_us = window_us;
  policy.moderate_some_us = moderate_us;
  policy.critical_full_us = critical_us;
  policy.margin_bytes = margin;
  policy.cgroup_margin_bytes = cgroup_margin;
  policy.node_margin_bytes = node_margin;
  policy.critical_share = critical_share;
  policy.hysteresis = hysteresis;
  policy.step_bytes = step_bytes;
  policy.cooldown_ms = cooldown_ms;
  policy.relief_ms = relief_ms;
  policy.poll_ms = poll_ms;
  return {policy, {sources, std::move(service_watch), std::move(service_write)}};
}

// (level, demand, trimmed, node or None, source, stall_us, origin_ns)
py::tuple to_tuple(const PressureEvent& event) {
  return py::make_tuple(static_cast<int>(event.level), event.demand_bytes, event.trimmed_bytes,
                        event.node_id, static_cast<int>(event.source), event.stall_us,
                        event.origin_ns);
}

py::list take(EventQueue& queue) {
  py::list out;
  for (const PressureEvent& event : queue.take()) out.append(to_tuple(event));
  return out;
}

// (source, active, wakes, path, detail)
py::list sources(const PyMonitor& monitor) {
  py::list out;
  for (const platform::SourceState& one : monitor->sources())
    out.append(
        py::make_tuple(static_cast<int>(one.source), one.active, one.wakes, one.path, one.detail));
  return out;
}

// (events by source, reaction bounds in ms, reactions, reaction sum in us, trimmed, looks, dropped)
py::tuple monitor_statistics(const PyMonitor& monitor) {
  const MonitorStatistics seen = monitor->statistics();
  return py::make_tuple(seen.events, MonitorStatistics::kBounds, seen.reactions,
                        seen.reaction_sum_us, seen.trimmed_bytes, seen.looks, seen.dropped_events);
}

// None, or ((available, total) or None, [(node, available, total, free, reserve)],
// (limit, needed) or None, balloon or None, (source, some_us, full_us) or None)
py::object last_look(const PyMonitor& monitor) {
  const auto look = monitor->last_look();
  if (!look) return py::none();
  py::object machine = py::none();
  py::object cgroup = py::none();
  py::object stall = py::none();
  py::list nodes;
  if (look->machine)
    machine = py::make_tuple(look->machine->available_bytes, look->machine->total_bytes);
  for (const platform::NodeSupply& one : look->nodes)
    nodes.append(py::make_tuple(one.node_id, one.supply.available_bytes, one.supply.total_bytes,
                                one.free_bytes, one.reserve_bytes));
  if (look->cgroup) cgroup = py::make_tuple(look->cgroup->limit_bytes, look->cgroup->needed_bytes);
  if (look->stall)
    stall = py::make_tuple(static_cast<int>(look->stall->source), look->stall->some_us,
                           look->stall->full_us);
  return py::make_tuple(machine, nodes, cgroup, look->balloon_bytes, stall);
}

void start(const PyMonitor& monitor) {
  const WithoutGil released;
  monitor->start();
}

void stop(const PyMonitor& monitor) {
  const WithoutGil released;
  monitor->stop();
}

void attach(const PyMonitor& monitor, const py::object& base, std::uint64_t floor_bytes,
            double weight) {
  Pool& pool = pool_of(base.ptr());
  const WithoutGil released;
  monitor->attach(pool, floor_bytes, weight);
}

bool detach(const PyMonitor& monitor, const py::object& base) {
  Pool& pool = pool_of(base.ptr());
  const WithoutGil released;
  return monitor->detach(pool);
}

// sys.unraisablehook takes only what the interpreter itself makes.
void write_unraisable(const py::object& error, const py::object& where) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  PyErr_WriteUnraisable(where.ptr());
}

std::shared_ptr<EventQueue> subscribe(const PyMonitor& monitor) {
  auto queue = std::make_shared<EventQueue>();
  monitor->subscribe(queue);
  return queue;
}

}  // namespace

void bind_pressure(py::module_& module) {
  module.def("write_unraisable", &write_unraisable, py::arg("error"), py::arg("where"));
  py::class_<EventQueue, std::shared_ptr<EventQueue>>(module, "EventQueue")
      .def("fileno", &EventQueue::descriptor)
      .def("take", &take)
      .def("close", &EventQueue::close)
      .def_property_readonly("closed", &EventQueue::closed);
  py::class_<PyMonitor>(module, "Monitor")
      .def(py::init(&make), py::kw_only(), py::arg("window_us"), py::arg("moderate_us"),
           py::arg("critical_us"), py::arg("margin_bytes"), py::arg("cgroup_margin_bytes"),
           py::arg("node_margin_bytes"), py::arg("critical_share"), py::arg("hysteresis"),
           py::arg("step_bytes"), py::arg("cooldown_ms"), py::arg("relief_ms"), py::arg("poll_ms"),
           py::arg("sources"), py::arg("service_watch"), py::arg("service_write"))
      .def("abandon", &PyMonitor::abandon)
      .def("start", &start)
      .def("stop", &stop)
      .def_property_readonly("running", [](const PyMonitor& self) { return self->running(); })
      .def("attach", &attach, py::arg("pool"), py::arg("floor_bytes"), py::arg("weight"))
      .def("detach", &detach, py::arg("pool"))
      .def("subscribe", &subscribe)
      .def_property_readonly("level",
                             [](const PyMonitor& self) { return static_cast<int>(self->level()); })
      .def("sources", &sources)
      .def("last_look", &last_look)
      .def("statistics", &monitor_statistics);
}

}  // namespace numapool::bindings
