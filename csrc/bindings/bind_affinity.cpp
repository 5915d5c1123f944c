// Binds the CPUs of threads; numapool.threads.thread_cpus makes sets of them.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "numapool/error.hpp"
#include "platform/thread_cpus.hpp"
#include "record.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

using platform::AffinityRules;
using platform::ThreadId;

// The value, or an OSError with the system's number; UnsupportedError where there is no number.
template <class T>
T value_or_throw(platform::Result<T> result) {
  if (result) return std::move(result).value();
  const platform::Failure& failure = result.failure();
  throw Error(failure.code == 0 ? ErrorKind::kUnsupported : ErrorKind::kSystem, describe(failure),
              failure.code);
}

py::object call_of(const AffinityRules& rules) { return words(rules.call); }

}  // namespace

void bind_affinity(py::module_& module) {
  Record<AffinityRules>::bind(module, "AffinityRules",
                              {{"available", value<&AffinityRules::available>},
                               {"call", &call_of},
                               {"inherited", value<&AffinityRules::inherited>},
                               {"all_is_no_list", value<&AffinityRules::all_is_no_list>}});
  module.def("affinity_rules", [] { return as_record(platform::affinity_rules()); });
  module.def(
      "thread_cpus",
      [](ThreadId thread) { return attribute(value_or_throw(platform::thread_cpus(thread))); },
      py::arg("thread"));
  module.def(
      "set_thread_cpus",
      [](const std::vector<int>& cpus, ThreadId thread) {
        value_or_throw(platform::set_thread_cpus(cpus, thread));
      },
      py::arg("cpus"), py::arg("thread"));
  module.def("usable_cpus", [] { return attribute(value_or_throw(platform::usable_cpus())); });
  module.def("thread_ids", [] { return attribute(value_or_throw(platform::thread_ids())); });
  module.def(
      "have_new_threads_follow",
      [](const std::vector<int>& cpus) { value_or_throw(platform::have_new_threads_follow(cpus)); },
      py::arg("cpus"));
}

}  // namespace numapool::bindings
