// Binds the pressure monitor and its subscribers' queues; numapool.pressure.monitor makes classes
// of them.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "numapool/pressure.hpp"
#include "record.hpp"
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

py::object events_by_source(const MonitorStatistics& seen) {
  py::dict events;
  for (std::size_t i = 0; i < seen.events.size(); ++i)
    events[py::cast(static_cast<platform::PressureSource>(i))] = py::int_(seen.events[i]);
  return events;
}

py::object reaction_bounds(const MonitorStatistics&) {
  return attribute(MonitorStatistics::kBounds);
}

template <auto Member>
py::object supply(const platform::NodeSupply& node) {
  return attribute(node.supply.*Member);
}

void bind_pressure_enums(py::module_& module) {
  using platform::PressureSource;
  py::native_enum<PressureLevel>(module, "PressureLevel", "enum.IntEnum")
      .value("NONE", PressureLevel::kNone)
      .value("MODERATE", PressureLevel::kModerate)
      .value("CRITICAL", PressureLevel::kCritical)
      .finalize();
  // Python calls a source by the name in lower case, with hyphens.
  py::native_enum<PressureSource>(module, "PressureSource", "enum.IntEnum")
      .value("CGROUP_PSI", PressureSource::kCgroupStall)
      .value("PSI", PressureSource::kStall)
      .value("CGROUP", PressureSource::kCgroup)
      .value("CGROUP_V1", PressureSource::kCgroupNotice)
      .value("SYSTEMD", PressureSource::kSystemd)
      .value("NODES", PressureSource::kNodes)
      .value("BALLOON", PressureSource::kBalloon)
      .value("MEMINFO", PressureSource::kMachine)
      .value("REHEARSAL", PressureSource::kRehearsal)
      .finalize();
}

void bind_pressure_records(py::module_& module) {
  using platform::CgroupSupply;
  using platform::NodeSupply;
  using platform::PressureLook;
  using platform::SourceState;
  using platform::StallTotals;
  using platform::Supply;
  Record<PressureEvent>::bind(module, "PressureEvent",
                              {{"level", value<&PressureEvent::level>},
                               {"demand_bytes", value<&PressureEvent::demand_bytes>},
                               {"trimmed_bytes", value<&PressureEvent::trimmed_bytes>},
                               {"node_id", value<&PressureEvent::node_id>},
                               {"source", value<&PressureEvent::source>},
                               {"stall_us", value<&PressureEvent::stall_us>},
                               {"origin_ns", value<&PressureEvent::origin_ns>}});
  Record<SourceState>::bind(module, "SourceState",
                            {{"source", value<&SourceState::source>},
                             {"active", value<&SourceState::active>},
                             {"wakes", value<&SourceState::wakes>},
                             {"path", path<&SourceState::path>},
                             {"detail", text<&SourceState::detail>}});
  Record<StallTotals>::bind(module, "StallTotals",
                            {{"source", value<&StallTotals::source>},
                             {"some_us", value<&StallTotals::some_us>},
                             {"full_us", value<&StallTotals::full_us>}});
  Record<Supply>::bind(module, "Supply",
                       {{"available_bytes", value<&Supply::available_bytes>},
                        {"total_bytes", value<&Supply::total_bytes>}});
  Record<NodeSupply>::bind(module, "NodeSupply",
                           {{"node_id", value<&NodeSupply::node_id>},
                            {"available_bytes", &supply<&Supply::available_bytes>},
                            {"total_bytes", &supply<&Supply::total_bytes>},
                            {"free_bytes", value<&NodeSupply::free_bytes>},
                            {"reserve_bytes", value<&NodeSupply::reserve_bytes>}});
  Record<CgroupSupply>::bind(module, "CgroupSupply",
                             {{"limit_bytes", value<&CgroupSupply::limit_bytes>},
                              {"needed_bytes", value<&CgroupSupply::needed_bytes>}});
  Record<PressureLook>::bind(module, "PressureLook",
                             {{"machine", record<&PressureLook::machine>},
                              {"nodes", record<&PressureLook::nodes>},
                              {"cgroup", record<&PressureLook::cgroup>},
                              {"balloon_bytes", value<&PressureLook::balloon_bytes>},
                              {"stall", record<&PressureLook::stall>}});
  Record<MonitorStatistics>::bind(module, "MonitorStatistics",
                                  {{"events_by_source", &events_by_source},
                                   {"reaction_bounds_ms", &reaction_bounds},
                                   {"reactions", value<&MonitorStatistics::reactions>},
                                   {"reaction_sum_us", value<&MonitorStatistics::reaction_sum_us>},
                                   {"trimmed_bytes", value<&MonitorStatistics::trimmed_bytes>},
                                   {"looks", value<&MonitorStatistics::looks>},
                                   {"dropped_events", value<&MonitorStatistics::dropped_events>}});
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

bool rehearse(const PyMonitor& monitor, PressureLevel level, std::uint64_t demand_bytes,
              std::optional<int> node_id) {
  const WithoutGil released;
  return monitor->rehearse(level, demand_bytes, node_id);
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
  bind_pressure_enums(module);
  bind_pressure_records(module);
  module.def("write_unraisable", &write_unraisable, py::arg("error"), py::arg("where"));
  py::class_<EventQueue, std::shared_ptr<EventQueue>>(module, "EventQueue")
      .def("fileno", &EventQueue::descriptor)
      .def("take", [](EventQueue& self) { return as_record(self.take()); })
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
      .def("rehearse", &rehearse, py::arg("level"), py::arg("demand_bytes"), py::arg("node_id"))
      .def_property_readonly("level", [](const PyMonitor& self) { return self->level(); })
      .def("sources", [](const PyMonitor& self) { return as_record(self->sources()); })
      .def("last_look", [](const PyMonitor& self) { return as_record(self->last_look()); })
      .def("statistics", [](const PyMonitor& self) { return as_record(self->statistics()); });
}

}  // namespace numapool::bindings
