// Binds the allocator: arguments in, NodeBuffer and the reasons for a lesser placement out.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings.hpp"
#include "degradations.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "numapool/allocator.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// `page_kind` is PageRequest::Kind's value; python/numapool/memory/allocator.py holds the names.
PageRequest page_request(int page_kind, std::size_t hugetlb_bytes) {
  return {static_cast<PageRequest::Kind>(page_kind), hugetlb_bytes};
}

// (buffer, [(cause, message), ...])
py::tuple to_tuple(Allocation&& allocation) {
  py::list causes;
  for (const Degradation& degradation : allocation.degradations) {
    causes.append(py::make_tuple(cause_name(degradation.cause), degradation.message));
  }
  PyObject* const buffer = make_node_buffer(std::move(allocation.block));
  if (buffer == nullptr) throw py::error_already_set();
  return py::make_tuple(py::reinterpret_steal<py::object>(buffer), std::move(causes));
}

}  // namespace

void bind_allocator(py::module_& module) {
  py::class_<Allocator>(module, "Allocator")
      .def(py::init([](std::shared_ptr<Topology> topology) {
             return std::make_unique<Allocator>(std::move(topology));
           }),
           py::arg("topology").none(true))
      .def(
          "allocate",
          [](const Allocator& self, std::size_t size_bytes, std::optional<int> preferred_node,
             bool strict, int page_kind, std::size_t hugetlb_bytes, bool populate, bool lock,
             bool dump) {
            AllocationRequest request;
            request.size_bytes = size_bytes;
            request.preferred_node = preferred_node;
            request.page = page_request(page_kind, hugetlb_bytes);
            request.strict = strict;
            request.populate = populate;
            request.lock = lock;
            request.dump = dump;
            Allocation allocation;
            {
              const WithoutGil released;
              allocation = self.allocate(request, check_signals);
            }
            return to_tuple(std::move(allocation));
          },
          py::arg("size_bytes"), py::arg("preferred_node"), py::arg("strict"), py::arg("page_kind"),
          py::arg("hugetlb_bytes"), py::arg("populate"), py::arg("lock"), py::arg("dump"))
      .def(
          "allocate_interleaved",
          [](const Allocator& self, std::size_t size_bytes, std::vector<int> nodes, bool weighted,
             std::vector<unsigned> weights, bool strict, int page_kind, std::size_t hugetlb_bytes,
             bool populate, bool lock, bool dump) {
            InterleaveRequest request;
            request.size_bytes = size_bytes;
            request.nodes = std::move(nodes);
            request.weighted = weighted;
            request.weights = std::move(weights);
            request.page = page_request(page_kind, hugetlb_bytes);
            request.strict = strict;
            request.populate = populate;
            request.lock = lock;
            request.dump = dump;
            Allocation allocation;
            {
              const WithoutGil released;
              allocation = self.allocate_interleaved(request, check_signals);
            }
            return to_tuple(std::move(allocation));
          },
          py::arg("size_bytes"), py::arg("nodes"), py::arg("weighted"), py::arg("weights"),
          py::arg("strict"), py::arg("page_kind"), py::arg("hugetlb_bytes"), py::arg("populate"),
          py::arg("lock"), py::arg("dump"));
}

}  // namespace numapool::bindings
