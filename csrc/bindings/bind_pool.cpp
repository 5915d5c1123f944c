// Binds what a pool does off the fast path; BufferPool in Python makes methods of it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "interrupt.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

void open_pool(const py::object& base, std::shared_ptr<Topology> topology,
               std::optional<std::uint64_t> max_bytes, std::optional<std::uint64_t> retain_bytes,
               std::optional<std::uint32_t> idle_ms, PageRequest::Kind page_kind,
               std::size_t hugetlb_bytes, bool zero_on_reuse, bool core_dump) {
  PoolOptions options;
  options.max_bytes = max_bytes;
  options.retain_bytes = retain_bytes;
  options.idle_ms = idle_ms;
  options.core_dump = core_dump;
  options.page = {page_kind, hugetlb_bytes};
  set_pool(base.ptr(), Pool::open(std::move(topology), options), zero_on_reuse);
}

std::uint64_t reserve(const py::object& base, std::size_t size_bytes, std::vector<int> nodes,
                      std::uint64_t already) {
  Pool& pool = pool_of(base.ptr());
  const NodeIds wanted(std::move(nodes));
  std::vector<Degradation> degradations;
  std::uint64_t added = 0;
  {
    const WithoutGil released;
    added = pool.reserve(size_bytes, wanted, already, check_signals,
                         [&](const Degradation& one) { degradations.push_back(one); });
  }
  warn_of(degradations);
  return added;
}

std::uint64_t trim(const py::object& base, std::optional<std::uint64_t> at_least,
                   std::optional<int> node) {
  Pool& pool = pool_of(base.ptr());
  const WithoutGil released;
  return pool.trim(at_least, node);
}

py::object counts_by_node(const PoolStatistics& seen) {
  py::dict by_node;
  for (const auto& [node, counts] : seen.by_node) by_node[py::int_(node)] = as_record(counts);
  return by_node;
}

void bind_pool_records(py::module_& module) {
  Record<PoolCounts>::bind(module, "PoolCounts",
                           {{"in_use_bytes", value<&PoolCounts::in_use_bytes>},
                            {"retained_bytes", value<&PoolCounts::retained_bytes>},
                            {"hits", value<&PoolCounts::hits>},
                            {"larger_hits", value<&PoolCounts::larger_hits>},
                            {"misses", value<&PoolCounts::misses>},
                            {"spills", value<&PoolCounts::spills>},
                            {"trimmed_bytes", value<&PoolCounts::trimmed_bytes>},
                            {"high_water_bytes", value<&PoolCounts::high_water_bytes>}});
  Record<PoolStatistics>::bind(
      module, "PoolStatistics",
      {{"by_node", &counts_by_node}, {"total", record<&PoolStatistics::total>}});
}

py::object pool_statistics(const py::object& base) {
  return as_record(pool_of(base.ptr()).statistics());
}

void close_pool(const py::object& base) {
  Pool& pool = pool_of(base.ptr());
  const WithoutGil released;
  pool.close();
}

}  // namespace

void bind_pool(py::module_& module) {
  bind_pool_records(module);
  module.def("pool_open", &open_pool, py::arg("base"), py::arg("topology").none(true),
             py::arg("max_bytes"), py::arg("retain_bytes"), py::arg("idle_ms"),
             py::arg("page_kind"), py::arg("hugetlb_bytes"), py::arg("zero_on_reuse"),
             py::arg("core_dump"));
  module.def("pool_reserve", &reserve, py::arg("base"), py::arg("size_bytes"), py::arg("nodes"),
             py::arg("already"));
  module.def("pool_trim", &trim, py::arg("base"), py::arg("at_least"), py::arg("node"));
  module.def("pool_statistics", &pool_statistics, py::arg("base"));
  module.def("pool_close", &close_pool, py::arg("base"));
  module.def(
      "pool_closed", [](const py::object& base) { return pool_of(base.ptr()).closed(); },
      py::arg("base"));
}

}  // namespace numapool::bindings
